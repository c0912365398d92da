"""A registry behind the web service."""
