"""The root of all errors, and the errors that the domain's values raise.

The whole tree is in :mod:`~airflow_provider_partition_registry.domain.errors`; import every error from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self


class RegistryError(Exception):
    """Anything the registry refuses or cannot do."""

    code = "registry_error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    @classmethod
    def restored(cls, message: str, fields: Mapping[str, Any]) -> Self:
        """Rebuild an error from its message and attributes, for example one raised in another process."""
        error = cls.__new__(cls, message)
        error.__dict__.update({"message": message, **fields})
        return error

    def continued(self, sentences: str) -> Self:
        """The same error, with sentences added to its message that only the caller knows."""
        message = f"{self.message} {sentences}"
        return self.restored(message, {**vars(self), "message": message})

    def __reduce__(self) -> tuple[Any, ...]:
        # Unpickling an exception calls its class with the message alone; most of ours take other arguments.
        return type(self).restored, (self.message, self.__dict__)


class InvalidInputError(RegistryError, ValueError):
    """A value has the wrong type, form or size."""

    code = "invalid_input"


class InvalidIntervalError(InvalidInputError):
    """An interval whose ends are not instants, or whose start is not before its end."""

    code = "invalid_interval"


class InvalidNameError(InvalidInputError):
    """A name that is empty, too long, or holds white space or control characters."""

    code = "invalid_name"
