"""Where a registry is kept: one contract, several implementations, opened by URL (factory)."""
