"""The processes of the service: started, supervised and stopped; their sockets and connections."""
