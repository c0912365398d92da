"""Requests about many partitions of one provider and source, to JSON and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import Field

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.many_requests import (
    MOST_PARTITIONS,
    FinishManyRequest,
    LockManyRequest,
    ManyRequest,
)
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.domain.requests import Ending
from airflow_provider_partition_registry.store.wire.fields import (
    Body,
    End,
    Generation,
    ProviderName,
    Seconds,
    SourceName,
    Start,
    text,
    to_lease,
)
from airflow_provider_partition_registry.store.wire.requests import (
    Exclusive,
    HolderOrIdentity,
    Keep,
    Register,
    as_sent,
    holder_body,
    holder_of,
    interval_to_data,
    lock_options_to_data,
)


class IntervalBody(Body):
    """The interval of one partition."""

    start: Start
    end: End


class LockedBody(IntervalBody):
    """One partition, and the generation of its lock."""

    generation: Generation | None = None


def _at_most(example: dict[str, Any]) -> Any:
    return Field(
        max_length=MOST_PARTITIONS,
        description=f"The partitions, at most {MOST_PARTITIONS:,}. All are changed, or none.",
        examples=[[example]],
    )


_DAY = {"start": "2026-11-01T00:00:00Z", "end": "2026-11-02T00:00:00Z"}
Intervals = Annotated[list[IntervalBody], _at_most(_DAY)]
Locked = Annotated[list[LockedBody], _at_most({**_DAY, "generation": 1})]


class ManyBody(Body):
    """Partitions of one provider and source."""

    source_name: SourceName
    provider_name: ProviderName
    partitions: Intervals

    def keys(self) -> tuple[PartitionKey, ...]:
        """Convert to the domain's keys.

        :raises InvalidInputError: one is not valid.
        """
        return tuple(
            PartitionKey(self.source_name, self.provider_name, Interval(each.start, each.end))
            for each in self.partitions
        )


class LockManyBody(ManyBody):
    """Locks to take."""

    holder: HolderOrIdentity = None
    lease_seconds: Seconds | None = None
    exclusive: Exclusive = False
    register_partitions: Register = False
    keep: Keep = False

    @classmethod
    def of(cls, request: LockManyRequest) -> Self:
        """Make the body of a request."""
        return cls.model_validate(
            {
                **keys_to_data(request.keys),
                **lock_options_to_data(request),
            }
        )

    def request(self) -> LockManyRequest:
        """Convert to the domain's request.

        :raises InvalidInputError: it is not valid.
        """
        return LockManyRequest(
            self.keys(),
            holder_of(self.holder),
            to_lease(self.lease_seconds),
            self.exclusive,
            self.register_partitions,
            self.keep,
        )


class FinishManyBody(ManyBody):
    """Writes that have ended."""

    partitions: Locked  # type: ignore[assignment]
    holder: HolderOrIdentity = None

    @classmethod
    def of(cls, request: FinishManyRequest) -> Self:
        """Make the body of a request."""
        why = {} if request.reason is None else {"reason": request.reason}
        body = keys_to_data(request.keys)
        for partition, each in zip(body["partitions"], request.each, strict=True):
            partition["generation"] = each.generation
        return cls.model_validate({**body, "holder": holder_body(request.holder), **why})

    def request(self, ending: Ending, reason: str | None = None) -> FinishManyRequest:
        """Convert to the domain's request.

        :raises InvalidInputError: it is not valid.
        """
        generations = [each.generation for each in self.partitions]
        return FinishManyRequest(self.keys(), ending, holder_of(self.holder), generations, reason)


class FailManyBody(FinishManyBody):
    """Writes that failed."""

    reason: Annotated[str, text("What went wrong.", "disk full")]


def many_request_to_data(request: ManyRequest) -> tuple[str, dict[str, Any]]:
    """Where a request is sent, and its body."""
    body: ManyBody
    if isinstance(request, LockManyRequest):
        verb, body = "lock", LockManyBody.of(request)
    else:
        verb = request.ending.value
        body = (FailManyBody if request.ending is Ending.FAIL else FinishManyBody).of(request)
    return f"/partitions/{verb}-many", as_sent(body)


def keys_to_data(keys: Sequence[PartitionKey]) -> dict[str, Any]:
    """Partitions of one provider and source, at least one."""
    return {
        "source_name": keys[0].source_name,
        "provider_name": keys[0].provider_name,
        "partitions": [interval_to_data(each.interval) for each in keys],
    }
