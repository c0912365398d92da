"""The routes of the original partition-registry service, for clients that were written for it."""
