"""Where a registry lives: one contract, several homes, opened by their URL (factory)."""
