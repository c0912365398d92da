"""Requests to change partitions, and questions, to JSON and back."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field

from airflow_provider_partition_registry.domain.intervals import Interval, format_instant
from airflow_provider_partition_registry.domain.many_requests import LockManyRequest
from airflow_provider_partition_registry.domain.models import (
    MAX_DETAILS,
    Holder,
    PartitionKey,
    PartitionState,
)
from airflow_provider_partition_registry.domain.questions import Question
from airflow_provider_partition_registry.domain.requests import (
    ChangeRequest,
    Decision,
    DecisionRequest,
    Ending,
    FinishRequest,
    LockRequest,
    RenewRequest,
    to_holder,
)
from airflow_provider_partition_registry.store.contract import MOST_QUESTIONS
from airflow_provider_partition_registry.store.wire.fields import (
    Body,
    By,
    End,
    Generation,
    Identity,
    ProviderName,
    PublishedAfter,
    Reason,
    Seconds,
    SourceName,
    Start,
    text,
    to_duration,
    to_lease,
)


class HolderBody(Body):
    """Who takes a lock."""

    identity: Identity
    details: Annotated[
        dict[str, str],
        Field(
            description=f"Anything that helps people: host, log URL. At most {MAX_DETAILS}.",
            examples=[{"host": "host-1"}],
            json_schema_extra={"maxProperties": MAX_DETAILS},
        ),
    ] = {}  # noqa: RUF012 - pydantic copies it


HolderOrIdentity = Annotated[
    HolderBody | str | None,
    Field(description="Who writes; by default the provider itself.", examples=["host-1/nightly"]),
]


Exclusive = Annotated[bool, Field(description="Conflict with locks of any provider.")]
Register = Annotated[
    bool, Field(alias="register", description="Register a partition first if it is not registered.")
]

Keep = Annotated[
    bool,
    Field(
        description="Leave a lock that the holder has already as it is, but for its lease, which is renewed unless "
        "more than nine tenths of it are left."
    ),
]


class KeyBody(Body):
    """One partition."""

    source_name: SourceName
    provider_name: ProviderName
    start: Start
    end: End

    def key(self) -> PartitionKey:
        """Convert to the domain's key.

        :raises InvalidInputError: it is not valid.
        """
        return PartitionKey(self.source_name, self.provider_name, Interval(self.start, self.end))


class LockBody(KeyBody):
    """A lock to take."""

    holder: HolderOrIdentity = None
    lease_seconds: Seconds | None = None
    exclusive: Exclusive = False
    register_partition: Register = False
    keep: Keep = False

    @classmethod
    def of(cls, request: LockRequest) -> Self:
        """Make the body of a request."""
        return cls.model_validate(
            {
                **key_to_data(request.key),
                **lock_options_to_data(request),
            }
        )

    def request(self) -> LockRequest:
        """Convert to the domain's request.

        :raises InvalidInputError: it is not valid.
        """
        return LockRequest(
            self.key(),
            holder_of(self.holder),
            to_lease(self.lease_seconds),
            self.exclusive,
            self.register_partition,
            self.keep,
        )


class RenewBody(KeyBody):
    """The lease to extend."""

    generation: Generation
    lease_seconds: Seconds

    @classmethod
    def of(cls, request: RenewRequest) -> Self:
        """Make the body of a request."""
        return cls(
            **key_to_data(request.key),
            generation=request.generation,
            lease_seconds=request.lease.total_seconds(),
        )

    def request(self) -> RenewRequest:
        """Convert to the domain's request.

        :raises InvalidInputError: it is not valid.
        """
        return RenewRequest(self.key(), self.generation, to_duration(self.lease_seconds))


class UnlockBody(KeyBody):
    """A write that succeeded."""

    holder: HolderOrIdentity = None
    generation: Generation | None = None

    @classmethod
    def of(cls, request: FinishRequest) -> Self:
        """Make the body of a request."""
        why = {} if request.reason is None else {"reason": request.reason}
        return cls(
            **key_to_data(request.key),
            holder=holder_body(request.holder),
            generation=request.generation,
            **why,
        )

    def request(self) -> FinishRequest:
        """Convert to the domain's request.

        :raises InvalidInputError: it is not valid.
        """
        return FinishRequest(self.key(), Ending.UNLOCK, holder_of(self.holder), self.generation)


class FailBody(UnlockBody):
    """A write that failed."""

    reason: Annotated[str, text("What went wrong.", "disk full")]

    def request(self) -> FinishRequest:
        """Convert to the domain's request.

        :raises InvalidInputError: it is not valid.
        """
        return FinishRequest(self.key(), Ending.FAIL, holder_of(self.holder), self.generation, self.reason)


class ReleaseBody(UnlockBody):
    """The lock to release."""

    def request(self) -> FinishRequest:
        """Convert to the domain's request.

        :raises InvalidInputError: it is not valid.
        """
        return FinishRequest(self.key(), Ending.RELEASE, holder_of(self.holder), self.generation)


class DecisionBody(KeyBody):
    """A decision by a person."""

    reason: Reason
    by: By

    @classmethod
    def of(cls, request: DecisionRequest) -> Self:
        """Make the body of a request."""
        return cls(**key_to_data(request.key), reason=request.reason, by=request.by)

    def request(self, decision: Decision) -> DecisionRequest:
        """Convert to the domain's request.

        :raises InvalidInputError: it is not valid.
        """
        return DecisionRequest(self.key(), decision, self.reason, self.by)


class ForceReleaseBody(DecisionBody):
    """The lock to take from its holder."""

    to: Annotated[PartitionState, Field(description="failed, or explicitly ready.", examples=["failed"])] = (
        PartitionState.FAILED
    )

    @classmethod
    def of(cls, request: DecisionRequest) -> Self:
        """Make the body of a request."""
        return cls(**key_to_data(request.key), reason=request.reason, by=request.by, to=request.to)

    def request(self, decision: Decision = Decision.FORCE_RELEASE) -> DecisionRequest:
        """Convert to the domain's request.

        :raises InvalidInputError: it is not valid.
        """
        return DecisionRequest(self.key(), decision, self.reason, self.by, self.to)


class QuestionBody(Body):
    """May ``[start, end)`` of a source be read?"""

    source_name: SourceName
    start: Start
    end: End
    published_after: PublishedAfter = None

    def question(self) -> Question:
        """Convert to the domain's question.

        :raises InvalidInputError: it is not valid.
        """
        return Question(self.source_name, Interval(self.start, self.end), self.published_after)  # type: ignore[arg-type]


class QuestionsBody(Body):
    """Many questions at once."""

    questions: Annotated[
        list[QuestionBody],
        Field(
            max_length=MOST_QUESTIONS,
            examples=[
                [{"source_name": "sales", "start": "2026-11-01T00:00:00Z", "end": "2026-11-02T00:00:00Z"}]
            ],
        ),
    ]
    explain: Annotated[bool, Field(description="Explain also why something is not ready; costs more.")] = True


def request_to_data(request: ChangeRequest) -> tuple[str, dict[str, Any]]:
    """Where a request is sent, and its body."""
    verb, body = _body_of(request)
    return f"/partitions/{verb}", as_sent(body)


def as_sent(body: Body) -> dict[str, Any]:
    """A body as JSON, without options at their defaults: services of former versions do not know all options."""
    return body.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def key_to_data(key: PartitionKey) -> dict[str, str]:
    """A partition."""
    return {
        "source_name": key.source_name,
        "provider_name": key.provider_name,
        **interval_to_data(key.interval),
    }


def interval_to_data(interval: Interval) -> dict[str, str]:
    """An interval."""
    return {"start": format_instant(interval.start), "end": format_instant(interval.end)}


def question_to_data(question: Question) -> dict[str, str | None]:
    """The JSON of one of several questions."""
    after = question.published_after
    return {
        "source_name": question.source_name,
        **interval_to_data(question.interval),
        "published_after": None if after is None else format_instant(after),
    }


def lock_options_to_data(request: LockRequest | LockManyRequest) -> dict[str, Any]:
    """How a lock is taken, whichever partitions it is on."""
    return {
        "holder": holder_body(request.holder),
        "lease_seconds": None if request.lease is None else request.lease.total_seconds(),
        "exclusive": request.exclusive,
        "register": request.register,
        "keep": request.keep,
    }


def holder_body(holder: Holder | None) -> HolderBody | None:
    """A holder in the body of a request."""
    return None if holder is None else HolderBody(identity=holder.identity, details=dict(holder.details))


def holder_of(given: HolderBody | str | None) -> Holder | None:
    """The holder in the body of a request."""
    return Holder(given.identity, given.details) if isinstance(given, HolderBody) else to_holder(given)


def _body_of(request: ChangeRequest) -> tuple[str, Body]:
    if isinstance(request, LockRequest):
        return "lock", LockBody.of(request)
    if isinstance(request, RenewRequest):
        return "renew", RenewBody.of(request)
    if isinstance(request, FinishRequest):
        return request.ending.value, _FINISHING[request.ending].of(request)
    return request.decision.value, _DECIDING[request.decision].of(request)


_FINISHING: dict[Ending, type[UnlockBody]] = {
    Ending.UNLOCK: UnlockBody,
    Ending.FAIL: FailBody,
    Ending.RELEASE: ReleaseBody,
}
_DECIDING: dict[Decision, type[DecisionBody]] = {
    Decision.FORCE_RELEASE: ForceReleaseBody,
    Decision.INVALIDATE: DecisionBody,
    Decision.WITHDRAW: DecisionBody,
}
