"""What is told to people and machines: access and event logs, metrics."""
