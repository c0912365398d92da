"""The decorator and the context manager: write a partition in one task."""
