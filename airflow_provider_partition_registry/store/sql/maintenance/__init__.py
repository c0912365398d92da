"""Work for a database's operators: backing it up, and verifying its contents."""
