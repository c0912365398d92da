"""Triggers that wait without a worker; many waits share one question."""
