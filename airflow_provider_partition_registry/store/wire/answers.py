"""Answers, values and errors, to JSON and back.

A value is sent as the fields of its dataclass, with instants as ISO 8601 text in UTC. An error is sent as
``{"error": {"code", "message", "details"}}`` and read back as the same error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from airflow_provider_partition_registry.domain.errors import RegistryError
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import Event, Page, Partition
from airflow_provider_partition_registry.domain.questions import Readiness

_KINDS_OF_DETAILS: Mapping[str, Any] = {"interval": Interval, "partition": Partition}


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong: a stable code, a sentence, and what it concerns."""

    code: str
    message: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ProblemBody:
    """The body of every response that refuses a request."""

    error: Problem


@dataclass(frozen=True, slots=True)
class ReadinessOrProblem:
    """The answer to one of many questions."""

    readiness: Readiness | None = None
    error: Problem | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """One answer per question, in the same order."""

    answers: tuple[ReadinessOrProblem, ...]


@dataclass(frozen=True, slots=True)
class Partitions:
    """One partition per request, in the same order."""

    partitions: tuple[Partition, ...]


@dataclass(frozen=True, slots=True)
class Changed:
    """Whether anything was rewritten since (R7)."""

    is_changed: bool


@dataclass(frozen=True, slots=True)
class Position:
    """Where the history ends."""

    position: int


@dataclass(frozen=True, slots=True)
class FollowedPage(Page[Event]):
    """One page of the history for those who wait for more of it.

    :param changed_sources: in which something happened that cannot be listed yet; None if it is not known in which.
    :param heard: to be sent in :data:`HEARD_HEADER` with the next request. None if nothing is known to be hidden, and
        from services of former versions.
    """

    items: tuple[Event, ...]
    changed_sources: tuple[str, ...] | None = None
    heard: str | None = None


HEARD_HEADER = "Partition-Registry-Heard"
"""What a client that waits for events has heard of those that cannot be listed yet; one that does not send it hears
only what comes while it waits. A header, as services of former versions refuse parameters that they do not know."""
HEARD_NOTHING = "nothing"

VERSION_HEADER = "Partition-Registry-Version"
"""The version of this package that a service runs; a header of every response."""


class NotOursError(ValueError):
    """The data received is nothing that a registry of this version sends."""


def encode(kind: Any, value: Any) -> bytes:
    """Turn a value into JSON.

    :param kind: its type, including that of its contents: ``Page[Source]``.
    """
    return _adapter(kind).dump_json(value)


def decode(kind: Any, data: bytes | str) -> Any:
    """Read a value back from JSON.

    :raises NotOursError: the data is no value of this type.
    """
    try:
        return _adapter(kind).validate_json(data)
    except ValidationError as error:
        raise NotOursError(str(error)) from None


def error_to_data(error: RegistryError) -> dict[str, Any]:
    """Turn an error into plain data."""
    details = {
        name: _adapter(_KINDS_OF_DETAILS.get(name, Any)).dump_python(value, mode="json")
        for name, value in vars(error).items()
        if name != "message"
    }
    return {"error": {"code": error.code, "message": error.message, "details": details}}


def error_from_data(data: Any) -> RegistryError:
    """Read an error back from plain data; a kind that only newer versions know becomes a :class:`RegistryError`.

    :raises NotOursError: the data is no error of a registry.
    """
    try:
        told = data["error"]
        code, message, details = told["code"], told["message"], dict(told["details"])
        fields = {
            name: _adapter(_KINDS_OF_DETAILS.get(name, Any)).validate_python(value)
            for name, value in details.items()
        }
    except (TypeError, KeyError, ValueError) as error:
        raise NotOursError(f"no error of a partition registry: {error!r}") from None
    return _kinds_of_errors().get(code, RegistryError).restored(message, fields)


@cache
def _adapter(kind: Any) -> TypeAdapter:
    return TypeAdapter(kind)


@cache
def _kinds_of_errors() -> dict[str, type[RegistryError]]:
    # Some modules derive errors of their own from those that are sent; these are sent as their parents.
    return {kind.code: kind for kind in _with_descendants(RegistryError) if "code" in vars(kind)}


def _with_descendants(kind: type[RegistryError]) -> Iterator[type[RegistryError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from _with_descendants(each)
