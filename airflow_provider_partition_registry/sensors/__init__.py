"""The sensor: wait until data may be read."""
