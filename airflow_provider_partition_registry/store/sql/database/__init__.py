"""Connections to a database, their failures, its clock, and the types of its columns."""
