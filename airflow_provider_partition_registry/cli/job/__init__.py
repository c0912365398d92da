"""``partition-registry run``: runs a command while its partition is locked."""
