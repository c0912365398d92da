"""Values, and values as JSON."""

from __future__ import annotations

import dataclasses
import json
from datetime import timedelta

import pytest

from airflow_provider_partition_registry.domain.errors import (
    InvalidInputError,
    InvalidIntervalError,
    InvalidNameError,
)
from airflow_provider_partition_registry.domain.jsonable import to_jsonable
from airflow_provider_partition_registry.domain.models import (
    BLOCKING_STATES,
    LOCKED_STATES,
    REWRITING_EVENTS,
    EventType,
    Holder,
    Page,
    PartitionState,
)
from airflow_provider_partition_registry.domain.principals import (
    AccessToken,
    IssuedToken,
    Principal,
    PrincipalKind,
    Provider,
    ProviderRegistration,
    Source,
    SourceRegistration,
)
from airflow_provider_partition_registry.domain.questions import Question
from airflow_provider_partition_registry.domain.readiness import assess
from tests.unit.values import ME, NOW, hours, partition

MICROSECOND = timedelta(microseconds=1)
TOKEN = AccessToken("0123456789abcdef", Principal(PrincipalKind.SOURCE, "s"), NOW)


def test_holders_are_the_same_by_identity_alone() -> None:
    assert Holder("me", {"try": "1"}) == Holder("me", {"try": "2"}) != Holder("you", {"try": "1"})
    assert str(ME) == "me"


@pytest.mark.parametrize("identity", ["", "a b", "x" * 2_001, None])
def test_a_holder_needs_an_identity(identity) -> None:
    with pytest.raises(InvalidNameError):
        Holder(identity)


@pytest.mark.parametrize(
    "details",
    [
        None,
        "text",
        [("a", "b")],
        {"a": 1},
        {1: "a"},
        {"a b": "c"},
        {"": "c"},
        {"a": "\x00"},
        {str(n): "x" for n in range(51)},
    ],
    ids=lambda details: repr(details)[:20],
)
def test_details_are_a_small_mapping_of_texts(details) -> None:
    with pytest.raises(InvalidInputError):
        Holder("me", details)


def test_a_question_reads_its_instant() -> None:
    question = Question("s", hours(0, 1), "2026-03-01T12:00:00Z")  # type: ignore[arg-type]
    assert question.published_after == NOW
    assert str(question) == "[2026-03-01T12:00:00Z, 2026-03-01T13:00:00Z) of source 's'"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("", hours(0, 1)), InvalidNameError),
        (("s", "2026-01-01"), InvalidIntervalError),
        (("s", None), InvalidIntervalError),
        (("s", hours(0, 1), "soon"), InvalidIntervalError),
    ],
)
def test_malformed_questions(arguments, error) -> None:
    with pytest.raises(error):
        Question(*arguments)


def test_values_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        partition().state = PartitionState.READY


@pytest.mark.parametrize(
    "answer",
    [
        SourceRegistration(Source("s", "ann", NOW, 1), "prs_secret"),
        ProviderRegistration(Provider("p", NOW, 1, ("s",)), "prs_secret"),
        IssuedToken(TOKEN, "prs_secret"),
    ],
    ids=lambda answer: type(answer).__name__,
)
def test_what_carries_a_secret_does_not_show_it(answer) -> None:
    assert "secret" not in repr(answer)
    assert to_jsonable(answer)["access_token"] == "prs_secret"


def test_a_principal_reads_its_kind() -> None:
    principal = Principal("provider", "p")  # type: ignore[arg-type]
    assert principal == Principal(PrincipalKind.PROVIDER, "p")
    assert principal.kind is PrincipalKind.PROVIDER
    assert str(principal) == "provider 'p'"


@pytest.mark.parametrize(
    "arguments", [("owner", "s"), (None, "s"), ("source", ""), ("source", None), ("provider", "a b")]
)
def test_malformed_principals(arguments) -> None:
    with pytest.raises(InvalidInputError):
        Principal(*arguments)


@pytest.mark.parametrize(
    ("end", "is_valid"),
    [
        ({}, True),
        ({"expires_at": NOW + MICROSECOND}, True),
        ({"expires_at": NOW}, False),
        ({"revoked_at": NOW}, False),
        ({"expires_at": NOW + MICROSECOND, "revoked_at": NOW}, False),
    ],
    ids=str,
)
def test_a_token_is_valid_until_it_expires_or_is_revoked(end, is_valid) -> None:
    assert dataclasses.replace(TOKEN, **end).is_valid_at(NOW) is is_valid


def test_sets_of_states_and_events() -> None:
    assert LOCKED_STATES < BLOCKING_STATES
    assert PartitionState.READY not in BLOCKING_STATES
    of_access = {"GRANTED", "GRANT_REVOKED", "TOKEN_ROTATED", "TOKEN_REVOKED"}
    unchanging = {"SOURCE_REGISTERED", "PROVIDER_REGISTERED", "PARTITION_REGISTERED", "RENEW"}
    assert set(EventType) - REWRITING_EVENTS == of_access | unchanging


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (NOW, "2026-03-01T12:00:00Z"),
        (PartitionState.READY, "ready"),
        (hours(0, 1), {"start": "2026-03-01T12:00:00Z", "end": "2026-03-01T13:00:00Z"}),
        (Page((1, 2), next=2), {"items": [1, 2], "next": 2}),
        (ME, {"identity": "me", "details": {"host": "worker-1"}}),
        ({1: (NOW,)}, {"1": ["2026-03-01T12:00:00Z"]}),
        *[(same, same) for same in (None, True, 1, 1.5, "text")],
    ],
    ids=repr,
)
def test_jsonable(value, plain) -> None:
    assert to_jsonable(value) == plain
    assert type(to_jsonable(value)) is type(plain)


def test_a_whole_answer_is_jsonable() -> None:
    answer = assess(
        Question("s", hours(0, 9), NOW), as_of=1, published=[hours(0, 1)], blockers=[partition("locked")]
    )
    plain = json.loads(json.dumps(to_jsonable(answer)))
    assert set(plain) == {"question", "is_ready", "as_of", "gaps", "blockers", "stale"}
    assert plain["blockers"][0]["lock"]["holder"]["identity"] == "me"
