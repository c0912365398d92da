"""A decorator and a context manager for writing a partition in one task."""
