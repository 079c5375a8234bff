"""Whether a service is itself: frames of its metrics, a detector with its threshold, verdicts and events."""
