"""What is asked of partitions, and questions, as JSON, both ways."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field

from airflow_provider_partition_registry.domain.intervals import Interval, format_instant
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
            description=f"What helps people: host, log URL. At most {MAX_DETAILS}.",
            examples=[{"host": "host-1"}],
            json_schema_extra={"maxProperties": MAX_DETAILS},
        ),
    ] = {}  # noqa: RUF012 - pydantic copies it


HolderOrIdentity = Annotated[
    HolderBody | str | None,
    Field(description="Who writes; without one the provider itself does.", examples=["host-1/nightly"]),
]


class KeyBody(Body):
    """One partition."""

    source_name: SourceName
    provider_name: ProviderName
    start: Start
    end: End

    def key(self) -> PartitionKey:
        """As the domain has it.

        :raises InvalidInputError: it is none.
        """
        return PartitionKey(self.source_name, self.provider_name, Interval(self.start, self.end))


class LockBody(KeyBody):
    """A lock to take."""

    holder: HolderOrIdentity = None
    lease_seconds: Seconds | None = None
    exclusive: Annotated[bool, Field(description="Conflict with locks of any provider.")] = False
    register_partition: Annotated[
        bool, Field(alias="register", description="Register the partition first if need be.")
    ] = False

    @classmethod
    def of(cls, request: LockRequest) -> Self:
        """Of a request."""
        return cls.model_validate(
            {
                **key_to_data(request.key),
                "holder": _told(request.holder),
                "lease_seconds": None if request.lease is None else request.lease.total_seconds(),
                "exclusive": request.exclusive,
                "register": request.register,
            }
        )

    def request(self) -> LockRequest:
        """As the domain has it.

        :raises InvalidInputError: it makes no sense.
        """
        return LockRequest(
            self.key(),
            _heard(self.holder),
            to_lease(self.lease_seconds),
            self.exclusive,
            self.register_partition,
        )


class RenewBody(KeyBody):
    """A lease to prolong."""

    generation: Generation
    lease_seconds: Seconds

    @classmethod
    def of(cls, request: RenewRequest) -> Self:
        """Of a request."""
        return cls(
            **key_to_data(request.key),
            generation=request.generation,
            lease_seconds=request.lease.total_seconds(),
        )

    def request(self) -> RenewRequest:
        """As the domain has it.

        :raises InvalidInputError: it makes no sense.
        """
        return RenewRequest(self.key(), self.generation, to_duration(self.lease_seconds))


class UnlockBody(KeyBody):
    """A write that went well."""

    holder: HolderOrIdentity = None
    generation: Generation | None = None

    @classmethod
    def of(cls, request: FinishRequest) -> Self:
        """Of a request."""
        why = {} if request.reason is None else {"reason": request.reason}
        return cls(
            **key_to_data(request.key), holder=_told(request.holder), generation=request.generation, **why
        )

    def request(self) -> FinishRequest:
        """As the domain has it.

        :raises InvalidInputError: it makes no sense.
        """
        return FinishRequest(self.key(), Ending.UNLOCK, _heard(self.holder), self.generation)


class FailBody(UnlockBody):
    """A write that went wrong."""

    reason: Annotated[str, text("What went wrong.", "disk full")]

    def request(self) -> FinishRequest:
        """As the domain has it.

        :raises InvalidInputError: it makes no sense.
        """
        return FinishRequest(self.key(), Ending.FAIL, _heard(self.holder), self.generation, self.reason)


class ReleaseBody(UnlockBody):
    """A lock to give back."""

    def request(self) -> FinishRequest:
        """As the domain has it.

        :raises InvalidInputError: it makes no sense.
        """
        return FinishRequest(self.key(), Ending.RELEASE, _heard(self.holder), self.generation)


class DecisionBody(KeyBody):
    """What a person decides over others."""

    reason: Reason
    by: By

    @classmethod
    def of(cls, request: DecisionRequest) -> Self:
        """Of a request."""
        return cls(**key_to_data(request.key), reason=request.reason, by=request.by)

    def request(self, decision: Decision) -> DecisionRequest:
        """As the domain has it.

        :raises InvalidInputError: it makes no sense.
        """
        return DecisionRequest(self.key(), decision, self.reason, self.by)


class ForceReleaseBody(DecisionBody):
    """A lock to take from its holder."""

    to: Annotated[PartitionState, Field(description="failed, or explicitly ready.", examples=["failed"])] = (
        PartitionState.FAILED
    )

    @classmethod
    def of(cls, request: DecisionRequest) -> Self:
        """Of a request."""
        return cls(**key_to_data(request.key), reason=request.reason, by=request.by, to=request.to)

    def request(self, decision: Decision = Decision.FORCE_RELEASE) -> DecisionRequest:
        """As the domain has it.

        :raises InvalidInputError: it makes no sense.
        """
        return DecisionRequest(self.key(), decision, self.reason, self.by, self.to)


class QuestionBody(Body):
    """May ``[start, end)`` of a source be read?"""

    source_name: SourceName
    start: Start
    end: End
    published_after: PublishedAfter = None

    def question(self) -> Question:
        """As the store takes it.

        :raises InvalidInputError: it is none.
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
    explain: Annotated[bool, Field(description="Say also why what is not ready is not; costs more.")] = True


def request_to_data(request: ChangeRequest) -> tuple[str, dict[str, Any]]:
    """Where a request is sent, and its body."""
    verb, body = _told_request(request)
    return f"/partitions/{verb}", body.model_dump(mode="json", by_alias=True)


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
    """One of several questions."""
    after = question.published_after
    return {
        "source_name": question.source_name,
        **interval_to_data(question.interval),
        "published_after": None if after is None else format_instant(after),
    }


def _told_request(request: ChangeRequest) -> tuple[str, Body]:
    if isinstance(request, LockRequest):
        return "lock", LockBody.of(request)
    if isinstance(request, RenewRequest):
        return "renew", RenewBody.of(request)
    if isinstance(request, FinishRequest):
        return request.ending.value, _FINISHING[request.ending].of(request)
    return request.decision.value, _DECIDING[request.decision].of(request)


def _told(holder: Holder | None) -> HolderBody | None:
    return None if holder is None else HolderBody(identity=holder.identity, details=dict(holder.details))


def _heard(given: HolderBody | str | None) -> Holder | None:
    return Holder(given.identity, given.details) if isinstance(given, HolderBody) else to_holder(given)


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
