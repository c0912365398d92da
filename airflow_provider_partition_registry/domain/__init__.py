"""What the registry means: values and rules, without I/O, clock or logging."""
