"""What the registry costs, each figure compared with a floor: ``python -m benchmarks``. README.md explains it."""
