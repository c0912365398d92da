"""Reading from a standby what it is proven to have."""
