"""A task group with a lock before the work and an unlock after it."""
