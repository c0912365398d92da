"""The examples of answers and refusals that the OpenAPI description shows."""
