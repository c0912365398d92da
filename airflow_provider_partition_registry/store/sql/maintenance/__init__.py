"""For those who operate a database: backing it up, and verifying what is in it."""
