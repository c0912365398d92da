"""Statements that read: what they ask, and how their rows become values of the domain."""
