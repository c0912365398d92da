"""Waiting requests: long polling, the feed of events, and bulkheads between kinds of calls."""
