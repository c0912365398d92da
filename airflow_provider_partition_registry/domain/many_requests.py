"""Requests about many partitions of one provider and source: all are carried out, or none (R11)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from airflow_provider_partition_registry.domain.invalid_input import InvalidInputError
from airflow_provider_partition_registry.domain.models import Holder, PartitionKey, check_key
from airflow_provider_partition_registry.domain.requests import Ending, FinishRequest, LockRequest

T = TypeVar("T")

MOST_PARTITIONS = 10_000
"""How many partitions one call may be about: a year of hours is 8,784."""


@dataclass(frozen=True, slots=True)
class LockManyRequest:
    """Take the locks on partitions before (re)writing them; see :class:`~.requests.LockRequest`.

    :raises InvalidInputError: an argument is not valid.
    """

    keys: Sequence[PartitionKey]
    holder: Holder | None = None
    lease: timedelta | None = None
    exclusive: bool = False
    register: bool = False
    keep: bool = False
    each: tuple[LockRequest, ...] = field(init=False, repr=False)
    """The request for each partition."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", check_keys(self.keys))
        options = (self.holder, self.lease, self.exclusive, self.register, self.keep)
        object.__setattr__(self, "each", tuple(LockRequest(key, *options) for key in self.keys))


@dataclass(frozen=True, slots=True)
class FinishManyRequest:
    """End one's own locks: publish, fail, or release them; see :class:`~.requests.FinishRequest`.

    :param generations: those of the locks, in the order of the keys; without one the holder must match.
    :raises InvalidInputError: an argument is not valid.
    """

    keys: Sequence[PartitionKey]
    ending: Ending
    holder: Holder | None = None
    generations: Sequence[int | None] | None = None
    reason: str | None = None
    each: tuple[FinishRequest, ...] = field(init=False, repr=False)
    """The request for each partition."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", check_keys(self.keys))
        generations: Sequence[int | None] = [None] * len(self.keys)
        if self.generations is not None:
            generations = _listed("generations", self.generations)
        if len(generations) != len(self.keys):
            raise InvalidInputError(
                f"{len(generations):,} generations are given for {len(self.keys):,} partitions. Give that of each "
                f"lock, in the order of the partitions."
            )
        each = (
            FinishRequest(key, self.ending, self.holder, generation, self.reason)
            for key, generation in zip(self.keys, generations, strict=True)
        )
        object.__setattr__(self, "each", tuple(each))


ManyRequest = LockManyRequest | FinishManyRequest


def check_keys(keys: Sequence[PartitionKey]) -> tuple[PartitionKey, ...]:
    """Return the keys if one call may be about them: of one provider and source, each once, and not too many.

    :raises InvalidInputError: it may not.
    """
    checked = tuple(map(check_key, _listed("partitions", keys)))
    if len(checked) > MOST_PARTITIONS:
        raise InvalidInputError(
            f"{len(checked):,} partitions are too many for one call. Give at most {MOST_PARTITIONS:,}, the others in "
            f"further calls."
        )
    if len({(each.source_name, each.provider_name) for each in checked}) > 1:
        raise InvalidInputError(
            "Partitions of several sources or providers cannot be changed in one call. Make a call for each."
        )
    seen = set[PartitionKey]()
    for each in checked:
        if each in seen:
            raise InvalidInputError(f"The partition {each} is named twice. Name each once.")
        seen.add(each)
    return checked


def _listed(what: str, values: Sequence[T]) -> tuple[T, ...]:
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise InvalidInputError(f"The {what} must be a list, not {type(values).__name__}.")
    return tuple(values)
