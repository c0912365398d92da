"""Connections to a database and what may go wrong with them, its clock, and how values lie in its columns."""
