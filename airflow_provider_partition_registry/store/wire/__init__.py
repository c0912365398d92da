"""What the web service and its clients say to each other: JSON, written and read in one place for both."""
