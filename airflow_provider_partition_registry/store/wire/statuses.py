"""Which HTTP status stands for which error."""

from __future__ import annotations

from airflow_provider_partition_registry.domain.errors import (
    AccessDeniedError,
    AlreadyRegisteredError,
    GonePositionError,
    HostNotFoundError,
    InvalidInputError,
    PartitionStateError,
    RegistryError,
    SchemaError,
    StoreUnavailableError,
    TokenRequiredError,
    TooManyAttemptsError,
    UnknownError,
)

# The first match counts. An error without one (such as missing rights) is the service's own failure.
STATUSES: tuple[tuple[type[RegistryError], int], ...] = (
    (InvalidInputError, 422),
    (UnknownError, 404),
    (GonePositionError, 410),
    (AlreadyRegisteredError, 409),
    (PartitionStateError, 409),
    (TokenRequiredError, 401),
    (AccessDeniedError, 403),
    (TooManyAttemptsError, 429),
    (StoreUnavailableError, 503),
    (HostNotFoundError, 503),  # the database's name may appear when the database starts
    (SchemaError, 503),  # after an upgrade of the schema the service continues by itself
)


def status_of(error: RegistryError) -> int:
    """The HTTP status of an error."""
    return next((status for kind, status in STATUSES if isinstance(error, kind)), 500)
