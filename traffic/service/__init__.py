"""The control service on port 7342: what people and notebooks use to steer and watch the traffic."""
