"""What long-running commands share: an HTTP server, leader election, logs, signals."""
