"""What the web service needs of the database behind it, beyond the contract. See :mod:`~..store.contract`."""

from __future__ import annotations

from abc import abstractmethod

from airflow_provider_partition_registry.store.contract.writing import RegistryStore


class RegistryDatabase(RegistryStore):
    """A registry whose database is at hand."""

    @abstractmethod
    def session_key(self, token_id: str) -> bytes | None:
        """What a session is authenticated with that somebody began by this token; None if it is not valid (any more).

        Nothing that the registry tells anybody reveals it.
        """
