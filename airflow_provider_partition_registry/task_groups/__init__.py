"""The task group: a lock before the work, an unlock after it."""
