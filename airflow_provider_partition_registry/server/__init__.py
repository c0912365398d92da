"""The web service: the registry over HTTP, for machines and for people."""
