"""Where a registry lives: one contract (``base``), several homes, opened by their URL (``factory``)."""
