"""The operators: register, lock and unlock partitions, end locks left behind."""
