"""What a writing transaction changes: partitions, ready intervals, rights, and the history."""
