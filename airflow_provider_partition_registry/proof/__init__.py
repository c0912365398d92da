"""Only proof publishes (R12): what the work between a lock and its unlock is, and what shows that it was done."""
