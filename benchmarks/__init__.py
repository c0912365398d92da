"""What the registry costs, each figure against a floor: ``python -m benchmarks``. How to read it: README.md."""
