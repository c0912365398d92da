"""The sensor, which waits until data may be read."""
