"""The JSON that the web service and its clients exchange, written and read in one place for both."""
