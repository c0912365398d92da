"""The fields of requests, as the OpenAPI description shows them. The domain checks their contents."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.domain.names import (
    LARGEST_PAGE,
    MAX_IDENTITY_LENGTH,
    MAX_NAME_LENGTH,
    MAX_TEXT_LENGTH,
)
from airflow_provider_partition_registry.domain.uris import MAX_URI_LENGTH


def name(description: str, example: str, longest: int = MAX_NAME_LENGTH) -> Any:
    """A field that holds a name."""
    return Field(
        description=f"{description} No white space, nothing that cannot be printed, Unicode in its composed form.",
        examples=[example],
        json_schema_extra={"minLength": 1, "maxLength": longest},
    )


def text(description: str, example: str) -> Any:
    """A field that holds text written by people."""
    return Field(
        description=description,
        examples=[example],
        json_schema_extra={"minLength": 1, "maxLength": MAX_TEXT_LENGTH},
    )


def instant(description: str, example: str) -> Any:
    """A field that holds an instant."""
    return Field(
        description=f"{description} ISO 8601; UTC unless it says otherwise; a date is its midnight.",
        examples=[example],
        json_schema_extra={"format": "date-time"},
    )


Start = Annotated[str, instant("First instant of the interval.", "2026-11-01T00:00:00Z")]
End = Annotated[str, instant("First instant after the interval.", "2026-11-02T00:00:00Z")]
PublishedAfter = Annotated[
    str | None,
    instant("Ask also that everything was published at or after this instant (R8).", "2026-11-01T06:00:00Z"),
]
SourceName = Annotated[str, name("Name of a source.", "sales")]
ProviderName = Annotated[str, name("Name of a provider.", "nightly-load")]
Owner = Annotated[str, text("Who is responsible for the source.", "data-team@example.com")]
Uri = Annotated[
    str | None,
    Field(
        description="The real address of the source's data, under which lineage knows it: a scheme and a place, "
        "without user, password, query or fragment.",
        examples=["s3://bucket/sales"],
        json_schema_extra={"maxLength": MAX_URI_LENGTH},
    ),
]
Identity = Annotated[
    str, name("The same for every retry of the same work.", "host-1/nightly", MAX_IDENTITY_LENGTH)
]
HolderPrefix = Annotated[
    str | None,
    name(
        "Only those whose holder's identity begins with this, case-sensitively.",
        "host-1/",
        MAX_IDENTITY_LENGTH,
    ),
]
ProviderToken = Annotated[
    str | None,
    Field(
        description="How an existing provider agrees to be granted one more source: its own access token, or "
        "the administrator's (R10)."
    ),
]
TokenId = Annotated[str, name("Its id, as lists show it.", "0123456789abcdef")]
Reason = Annotated[str, text("Why; kept in the history.", "the file was cut off")]
By = Annotated[str, text("The person who decides.", "ada@example.com")]
Generation = Annotated[int, Field(description="The fencing token that locking returned (R3).", examples=[1])]
Seconds = Annotated[float, Field(description="Seconds.", examples=[900])]
AfterName = Annotated[str | None, Field(description="`next` of the page before.")]
AfterNumber = Annotated[int | None, Field(description="`next` of the page before.")]
Limit = Annotated[int, Field(description=f"How many at most, up to {LARGEST_PAGE}.", examples=[100])]


GrainText = Annotated[
    str,
    Field(
        description="hour, day, week or month, or a number of seconds, counted from 1970-01-01T00:00:00Z.",
        examples=["day"],
    ),
]
Timezone = Annotated[
    str,
    Field(description="IANA name of the time zone in which a named grain begins.", examples=["Europe/Paris"]),
]


def _add_example(schema: dict[str, Any]) -> None:
    """Show an example of the whole body, made of the examples of its fields."""
    fields = schema["properties"].items()
    schema["examples"] = [{name: each["examples"][0] for name, each in fields if "examples" in each}]


class Body(BaseModel):
    """The body of a request. Unknown fields are refused, so that no misspelt option is ignored."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_add_example)


def to_duration(seconds: float) -> timedelta:
    """Convert to the domain's type.

    :raises InvalidInputError: this is not a length of time.
    """
    try:
        return timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        raise InvalidInputError(f"{seconds!r} seconds are no length of time.") from None


def grain_to_text(grain: str | timedelta) -> str:
    """A grain as :data:`GrainText`."""
    return str(grain.total_seconds()) if isinstance(grain, timedelta) else grain


def to_grain(text: str) -> str | timedelta:
    """Read a grain back; the domain checks names.

    :raises InvalidInputError: this is not a length of time.
    """
    try:
        seconds = float(text)
    except ValueError:
        return text
    return to_duration(seconds)


def to_lease(seconds: float | None) -> timedelta | None:
    """Convert to the domain's type.

    :raises InvalidInputError: this is not a length of time.
    """
    return None if seconds is None else to_duration(seconds)
