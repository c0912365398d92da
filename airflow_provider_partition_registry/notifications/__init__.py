"""Notifiers: they tell people why data is not ready, and which locks are held for long."""
