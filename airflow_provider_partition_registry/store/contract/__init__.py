"""The contract that every store of a registry keeps. Its rules (R1 to R11) are in docs/explanation/semantics.md.

All methods are synchronous and safe to call from several threads. Every one may raise
:class:`~airflow_provider_partition_registry.domain.errors.StoreUnavailableError` when the store is down, unreachable
or too slow, and a :class:`~airflow_provider_partition_registry.domain.errors.SchemaError` when its tables do not fit
this version. Names and texts that are not valid raise
:class:`~airflow_provider_partition_registry.domain.errors.InvalidInputError`. These are not repeated below.
"""

from __future__ import annotations

from airflow_provider_partition_registry.store.contract.database import RegistryDatabase
from airflow_provider_partition_registry.store.contract.listening import Listener
from airflow_provider_partition_registry.store.contract.reading import (
    MOST_LOCKS_COUNTED,
    MOST_QUESTIONS,
    RegistryReader,
)
from airflow_provider_partition_registry.store.contract.viewing import RegistryViewer
from airflow_provider_partition_registry.store.contract.writing import RegistryStore

__all__ = [
    "MOST_LOCKS_COUNTED",
    "MOST_QUESTIONS",
    "Listener",
    "RegistryDatabase",
    "RegistryReader",
    "RegistryStore",
    "RegistryViewer",
]
