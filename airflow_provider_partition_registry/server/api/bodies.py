"""What callers of the versioned API send. The domain checks names, intervals and texts, and words the errors."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import (
    MAX_DETAILS,
    Holder,
    PartitionKey,
    PartitionState,
    Question,
)
from airflow_provider_partition_registry.domain.names import (
    LARGEST_PAGE,
    MAX_IDENTITY_LENGTH,
    MAX_NAME_LENGTH,
    MAX_TEXT_LENGTH,
)
from airflow_provider_partition_registry.store.base import MOST_QUESTIONS


def _name(description: str, example: str, longest: int = MAX_NAME_LENGTH) -> Any:
    return Field(
        description=f"{description} No white space, nothing that cannot be printed, Unicode in its composed form.",
        examples=[example],
        json_schema_extra={"minLength": 1, "maxLength": longest},
    )


def _text(description: str, example: str) -> Any:
    return Field(
        description=description,
        examples=[example],
        json_schema_extra={"minLength": 1, "maxLength": MAX_TEXT_LENGTH},
    )


def _instant(description: str, example: str) -> Any:
    return Field(
        description=f"{description} ISO 8601; UTC unless it says otherwise; a date is its midnight.",
        examples=[example],
        json_schema_extra={"format": "date-time"},
    )


# What is described here is checked by the domain.
Start = Annotated[str, _instant("First instant of the interval.", "2026-11-01T00:00:00Z")]
End = Annotated[str, _instant("First instant after the interval.", "2026-11-02T00:00:00Z")]
PublishedAfter = Annotated[
    str | None,
    _instant("Ask also that everything was published at or after it (R8).", "2026-11-01T06:00:00Z"),
]
SourceName = Annotated[str, _name("Name of a source.", "sales")]
ProviderName = Annotated[str, _name("Name of a provider.", "nightly-load")]
Owner = Annotated[str, _text("Who answers for the source.", "data-team@example.com")]
Identity = Annotated[
    str, _name("Stable through retries of the same work.", "host-1/nightly", MAX_IDENTITY_LENGTH)
]
HolderPrefix = Annotated[
    str | None,
    _name(
        "Only those whose holder's identity begins with it, to the letter.", "host-1/", MAX_IDENTITY_LENGTH
    ),
]
ProviderToken = Annotated[
    str | None,
    Field(
        description="By which a provider that exists agrees to be granted one more source: its own access token, or "
        "the administrator's (R10)."
    ),
]
TokenId = Annotated[str, _name("Its id, as lists show it.", "0123456789abcdef")]
Reason = Annotated[str, _text("Why; kept in the history.", "the file was cut off")]
By = Annotated[str, _text("Who decides it.", "ada@example.com")]
Generation = Annotated[int, Field(description="The fencing token that locking answered (R3).", examples=[1])]
Seconds = Annotated[float, Field(description="Seconds.", examples=[900])]
AfterName = Annotated[str | None, Field(description="`next` of the page before.")]
AfterNumber = Annotated[int | None, Field(description="`next` of the page before.")]
Limit = Annotated[int, Field(description=f"How many at most, up to {LARGEST_PAGE}.", examples=[100])]


def _add_example(schema: dict[str, Any]) -> None:
    """Show a body as a whole, made of the examples of its fields."""
    fields = schema["properties"].items()
    schema["examples"] = [{name: each["examples"][0] for name, each in fields if "examples" in each}]


class Body(BaseModel):
    """Anything sent; what it does not know it refuses, so that no misspelt option is ignored."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_add_example)


class NewSource(Body):
    """A source to register."""

    source_name: SourceName
    owner: Owner


class NewProvider(Body):
    """A provider to register; the bearer token is that of the source it shall write to."""

    provider_name: ProviderName
    provider_token: ProviderToken = None


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
    ] = {}


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
        """As the store's methods take it.

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


class RenewBody(KeyBody):
    """A lease to prolong."""

    generation: Generation
    lease_seconds: Seconds


class UnlockBody(KeyBody):
    """A write that went well."""

    holder: HolderOrIdentity = None
    generation: Generation | None = None


class FailBody(UnlockBody):
    """A write that went wrong."""

    reason: Annotated[str, _text("What went wrong.", "disk full")]


class ReleaseBody(UnlockBody):
    """A lock to give back."""


class DecisionBody(KeyBody):
    """What a person decides over others."""

    reason: Reason
    by: By


class ForceReleaseBody(DecisionBody):
    """A lock to take from its holder."""

    to: Annotated[PartitionState, Field(description="failed, or explicitly ready.", examples=["failed"])] = (
        PartitionState.FAILED
    )


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


def to_holder(given: HolderBody | str | None) -> Holder | str | None:
    """As the store takes it.

    :raises InvalidInputError: it is none.
    """
    return Holder(given.identity, given.details) if isinstance(given, HolderBody) else given


def to_duration(seconds: float) -> timedelta:
    """As the store takes it.

    :raises InvalidInputError: it is no length of time.
    """
    try:
        return timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        raise InvalidInputError(f"{seconds!r} seconds are no length of time.") from None


def to_lease(seconds: float | None) -> timedelta | None:
    """As the store takes it.

    :raises InvalidInputError: it is no length of time.
    """
    return None if seconds is None else to_duration(seconds)
