"""What waits, and what must not: long polling, the feed of events, and bulkheads between kinds of calls."""
