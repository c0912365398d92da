"""What goes wrong behind the service, in words for anybody. Where its database is and what a driver says is logged."""

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

# Of whom is asked again and again: a sentence that changed every time would be news every time.
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


def told_in_general(error: RegistryError) -> RegistryError:
    """Log and count an error of the service's own; the same error, saying no more than callers may know."""
    log.error("%s", error)
    count_store_error(error)
    if isinstance(error, NotBegunError):
        return error
    words = next(WORDS[kind] for kind in type(error).__mro__ if kind in WORDS)
    message = f"{words} {MORE}"
    return error.restored(message, {**vars(error), "message": message})
