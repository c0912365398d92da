"""The trigger: wait without a worker, many waits with one question."""
