"""When, how fast and through what: arrivals, the driver, one operation from attempt to attempt."""
