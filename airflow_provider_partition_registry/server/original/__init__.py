"""The routes of the original partition-registry service, for the clients that were written for it."""
