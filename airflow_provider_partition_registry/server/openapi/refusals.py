"""Refusals for the OpenAPI description: for each status a description, a schema and an example."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, TypeAdapter

from airflow_provider_partition_registry.domain.errors import (
    InvalidInputError,
    InvalidIntervalError,
    InvalidTokenError,
    LostPositionError,
    PartitionLockedError,
    RegistryError,
    StoreRefusedError,
    StoreUnavailableError,
    TokenRequiredError,
    TooManyAttemptsError,
    UnknownSourceError,
)
from airflow_provider_partition_registry.server.openapi import examples
from airflow_provider_partition_registry.server.redaction import MORE, WORDS
from airflow_provider_partition_registry.store.wire.answers import ProblemBody, error_to_data

Refusals = dict[int | str, dict[str, Any]]

REFERENCE = "#/components/schemas/{model}"
ANYWHERE = (401, 403, 422, 429, 500, 503)
WITH_A_BODY = (408, 413)

_EXAMPLES: dict[int, tuple[str, RegistryError]] = {
    401: (
        "No access token",
        TokenRequiredError("This call needs an access token: send it as 'Authorization: Bearer …'."),
    ),
    403: (
        "Not allowed: the access token is wrong, somebody else's, or there is no grant",
        InvalidTokenError(),
    ),
    404: ("A source, provider, partition or token that is not registered", UnknownSourceError("sales")),
    408: (
        "The body does not arrive",
        RegistryError("POST /api/v1/partitions/lock: the body has not arrived within 30 s."),
    ),
    409: (
        "In conflict with what is there: registered already, locked by somebody else, or not the caller's lock",
        PartitionLockedError("The partition is locked by host-1/nightly.", examples.LOCKED),
    ),
    410: (
        "The history does not hold the position any more: read anew what depends on it, and follow from its end",
        LostPositionError(1_083, "2026-11-01T06:30:00Z", 990),
    ),
    413: (
        "The body is too large",
        InvalidInputError("POST /api/v1/readiness: a body has at most 4194304 bytes."),
    ),
    422: (
        "Malformed: a name, an interval, a number or a body that is not valid",
        InvalidIntervalError("The interval [2026-11-02T00:00:00Z, 2026-11-01T00:00:00Z) is empty."),
    ),
    429: ("Too many wrong access tokens came from this address", TooManyAttemptsError(42)),
    500: (
        "A failure of the service itself, such as missing rights in the database, or a bug",
        StoreRefusedError(f"{WORDS[StoreRefusedError]} {MORE}"),
    ),
    503: (
        "The database does not respond: the call may or may not have taken effect. Or its schema does not fit it",
        StoreUnavailableError(f"{WORDS[StoreUnavailableError]} {MORE}"),
    ),
}
_HEADERS = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}, "description": "`Bearer`"}},
    429: {"Retry-After": {"schema": {"type": "string"}, "description": "Seconds."}},
    503: {"Retry-After": {"schema": {"type": "string"}, "description": "Seconds."}},
}


class Refusal(BaseModel):
    """The body of a refusal by the original's routes."""

    status_code: int
    detail: str


def refusals(*statuses: int) -> Refusals:
    """The refusals of the versioned API."""
    return {
        status: _document(status, ProblemBody, error_to_data(_EXAMPLES[status][1])) for status in statuses
    }


def original_refusals(*statuses: int) -> Refusals:
    """The refusals of the original's routes."""
    return {
        status: _document(status, Refusal, {"status_code": status, "detail": _EXAMPLES[status][1].message})
        for status in statuses
    }


def schemas() -> dict[str, Any]:
    """The bodies of all refusals, for the description's components.

    If FastAPI were given them as models, it would build them anew for every status of every route: a second of work.
    """
    kinds = [(kind, "serialization", TypeAdapter(kind)) for kind in (ProblemBody, Refusal)]
    _, described = TypeAdapter.json_schemas(kinds, ref_template=REFERENCE)  # type: ignore[arg-type]
    return described["$defs"]  # type: ignore[no-any-return]


def _document(status: int, kind: type, example: Any) -> dict[str, Any]:
    schema = {"$ref": REFERENCE.format(model=kind.__name__)}
    return {
        "description": _EXAMPLES[status][0],
        "content": {"application/json": {"schema": schema, "example": example}},
        "headers": _HEADERS.get(status, {}),
    }
