"""What clients and service said to each other under a former version, to be said again to this one."""
