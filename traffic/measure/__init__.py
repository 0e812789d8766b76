"""What happened, counted: events, latencies, rows of numbers."""
