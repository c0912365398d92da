"""Requests to change a partition's state, as immutable values that check themselves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from airflow_provider_partition_registry.domain.intervals import check_length
from airflow_provider_partition_registry.domain.invalid_input import InvalidInputError
from airflow_provider_partition_registry.domain.models import Holder, PartitionKey, PartitionState, check_key
from airflow_provider_partition_registry.domain.names import (
    MAX_IDENTITY_LENGTH,
    check_flag,
    check_new_name,
    check_number,
    check_text,
)


@dataclass(frozen=True, slots=True)
class LockRequest:
    """Take the lock before (re)writing a partition (R3).

    :param holder: who writes; None acts as the provider itself.
    :param lease: how long until anyone with a grant may take the lock over; None for a lock that lasts.
    :param exclusive: conflict with overlapping locks of any provider, not only of this one.
    :param register: register the partition first if it is not known.
    :param keep: if the holder has the lock already, leave it as it is, with its generation, and renew the lease if one
        is given.
    :raises InvalidInputError: an argument is not valid.
    """

    key: PartitionKey
    holder: Holder | None = None
    lease: timedelta | None = None
    exclusive: bool = False
    register: bool = False
    keep: bool = False

    def __post_init__(self) -> None:
        check_key(self.key)
        if self.holder is not None:
            check_new_name("holder identity", self.holder.identity, MAX_IDENTITY_LENGTH)
        if self.lease is not None:
            check_length("lease", self.lease)
        check_flag("exclusive", self.exclusive)
        check_flag("register", self.register)
        check_flag("keep", self.keep)


@dataclass(frozen=True, slots=True)
class RenewRequest:
    """Let the lease of a held lock run for ``lease`` from now on (R5).

    :raises InvalidInputError: an argument is not valid.
    """

    key: PartitionKey
    generation: int
    lease: timedelta

    def __post_init__(self) -> None:
        check_key(self.key)
        check_number("generation", self.generation)
        check_length("lease", self.lease)


class Ending(StrEnum):
    """How a holder ends its lock (R4)."""

    UNLOCK = "unlock"
    FAIL = "fail"
    RELEASE = "release"


@dataclass(frozen=True, slots=True)
class FinishRequest:
    """End one's own lock: publish, fail, or release it (R4).

    :param holder: who took the lock; None acts as the provider itself.
    :param generation: that of the lock; without it the holder must match.
    :param reason: what went wrong; only for a failure.
    :raises InvalidInputError: an argument is not valid.
    """

    key: PartitionKey
    ending: Ending
    holder: Holder | None = None
    generation: int | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        check_key(self.key)
        if self.generation is not None:
            check_number("generation", self.generation)
        if self.ending is Ending.FAIL:
            check_text("reason", self.reason)  # type: ignore[arg-type]


class Decision(StrEnum):
    """What a person may decide over the head of a provider (R6)."""

    FORCE_RELEASE = "force-release"
    INVALIDATE = "invalidate"
    WITHDRAW = "withdraw"


@dataclass(frozen=True, slots=True)
class DecisionRequest:
    """Overrule a provider by hand (R6). The provider's grant does not matter.

    :param reason: why; kept in the history.
    :param by: the person who decides.
    :param to: what becomes of the partition: ``failed``, or explicitly ``ready``; only for a forced release.
    :raises InvalidInputError: an argument is not valid.
    """

    key: PartitionKey
    decision: Decision
    reason: str
    by: str
    to: PartitionState = PartitionState.FAILED

    def __post_init__(self) -> None:
        check_key(self.key)
        check_decision(self.reason, self.by)
        if self.to not in (PartitionState.FAILED, PartitionState.READY):
            raise InvalidInputError(
                f"A lock is released by force to 'failed' or 'ready', not to '{self.to}'."
            )
        object.__setattr__(self, "to", PartitionState(self.to))


def check_decision(reason: str, by: str) -> None:
    """Refuse a person's decision that does not say why, or who decides (R6).

    :raises InvalidInputError: one of the two is missing.
    """
    check_text("reason", reason)
    check_text("name of who decides", by)


ChangeRequest = LockRequest | RenewRequest | FinishRequest | DecisionRequest


def acting(request: LockRequest | FinishRequest) -> Holder:
    """The acting holder: a caller that names no holder acts as the provider itself (R3)."""
    return request.holder or Holder(request.key.provider_name)


def to_holder(given: Holder | str | None) -> Holder | None:
    """Make a holder of what a caller gave, which may be its identity alone.

    :raises InvalidInputError: it is neither.
    """
    return Holder(given) if given is not None and not isinstance(given, Holder) else given
