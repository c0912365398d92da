"""The web service: the registry over HTTP, for programs and for people."""
