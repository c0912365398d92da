"""Only proved work is published (R12): which tasks are the work between a lock and its unlock, and what proves it."""
