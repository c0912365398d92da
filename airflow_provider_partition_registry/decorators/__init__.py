"""Decorators and context managers for DAG files."""
