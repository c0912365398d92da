"""The service's own failures, described for callers. Where the database is and what drivers say is only logged."""

from __future__ import annotations

import logging

from airflow_provider_partition_registry.domain.errors import (
    RegistryError,
    SchemaBlockedError,
    SchemaDamagedError,
    SchemaError,
    SchemaMissingError,
    SchemaNewerError,
    SchemaOutdatedError,
    StoreRefusedError,
    StoreUnavailableError,
)
from airflow_provider_partition_registry.server.observing.metrics import count_store_error
from airflow_provider_partition_registry.server.waiting.bulkheads import NotBegunError

log = logging.getLogger(__name__)

# Waiting clients repeat their questions: a sentence that changed every time would be reported every time.
WORDS: dict[type[RegistryError], str] = {
    StoreUnavailableError: "The service's database does not respond, or not in time. The call may or may not have "
    "taken effect.",
    StoreRefusedError: "The service's database refuses what the registry needs. Waiting does not help.",
    SchemaMissingError: "The service's database holds no partition registry yet. Its operator creates the tables with: "
    "partition-registry db upgrade.",
    SchemaOutdatedError: "The partition registry in the service's database is of an older version. Its operator brings "
    "it up to date with: partition-registry db upgrade.",
    SchemaNewerError: "The partition registry in the service's database is of a newer version. Its operator upgrades "
    "airflow-provider-partition-registry where the service runs.",
    SchemaBlockedError: "Rows that no call could have written keep the partition registry in the service's database "
    "from being brought up to date. Its operator sees which with: partition-registry db upgrade.",
    SchemaDamagedError: "Some tables of the partition registry in the service's database are missing.",
    SchemaError: "The partition registry in the service's database does not fit the service.",
    RegistryError: "The service failed.",
}
MORE = "The service's log says more, under the X-Request-ID of this answer."


def redacted(error: RegistryError) -> RegistryError:
    """Log and count an error of the service itself; return the same error with no more than callers may know."""
    log.error("%s", error)
    count_store_error(error)
    if isinstance(error, NotBegunError):
        return error
    words = next(WORDS[kind] for kind in type(error).__mro__ if kind in WORDS)
    message = f"{words} {MORE}"
    return error.restored(message, {**vars(error), "message": message})
