"""The root of all errors, and those of values that are no good: what the values themselves raise.

The whole tree is in :mod:`~airflow_provider_partition_registry.domain.errors`, from where everybody else imports it.
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
        """An error again from its message and attributes, wherever it was raised."""
        error = cls.__new__(cls, message)
        error.__dict__.update({"message": message, **fields})
        return error

    def continued(self, sentences: str) -> Self:
        """The same error, whose message goes on with what only the caller knows."""
        message = f"{self.message} {sentences}"
        return self.restored(message, {**vars(self), "message": message})

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are unpickled by calling the class with its message; most of ours take other arguments.
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
