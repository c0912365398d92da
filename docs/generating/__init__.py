"""What of the reference is generated besides docstrings. Not part of the site itself."""
