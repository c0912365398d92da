"""The service's processes: starting, supervising and stopping them; their sockets and connections."""
