"""What the versioned API answers: values of the domain as they are, and one shape for everything that goes wrong."""

from __future__ import annotations

from typing import Any

from fastapi import Response

from airflow_provider_partition_registry.store.wire import ProblemAnswer, encode

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ProblemAnswer, "description": description}
    for status, description in {
        401: "No credentials",
        403: "Not allowed",
        404: "Unknown source, provider or partition",
        409: "In conflict with what is there",
        422: "Malformed",
        503: "The registry does not answer; try again after `Retry-After` seconds",
    }.items()
}


def answer(kind: Any, value: Any, status: int = 200) -> Response:
    """A value as the body, without being checked and copied once more."""
    return Response(encode(kind, value), status, media_type="application/json")
