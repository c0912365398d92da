"""Operators that register, lock and unlock partitions, and end locks that were left behind."""
