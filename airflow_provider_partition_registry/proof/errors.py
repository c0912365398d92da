"""What keeps work from starting, besides what the registry itself says."""

from __future__ import annotations

from airflow_provider_partition_registry.domain.errors import RegistryError


class LockNotTakenError(RegistryError):
    """The lock around a task was not taken, and cannot be taken in its place."""

    code = "lock_not_taken"
