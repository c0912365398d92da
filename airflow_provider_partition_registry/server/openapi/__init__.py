"""What the OpenAPI description shows: examples of answers and of refusals."""
