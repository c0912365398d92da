"""``partition-registry run``: a command that is run while its partition is locked."""
