"""What a writing transaction changes besides deciding: partitions, ready intervals, rights, and the history."""
