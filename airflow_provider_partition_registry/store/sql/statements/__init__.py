"""Statements that read, and how their rows become values of the domain."""
