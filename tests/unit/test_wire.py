"""Values and errors survive a round trip through JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_partition_registry.domain import errors
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import (
    Event,
    EventType,
    Holder,
    Lock,
    Page,
    Partition,
    PartitionKey,
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
from airflow_provider_partition_registry.domain.questions import Question, Readiness
from airflow_provider_partition_registry.store.wire.answers import (
    NotOursError,
    decode,
    encode,
    error_from_data,
    error_to_data,
)

NOW = datetime(2026, 11, 1, 12, 30, 0, 123456, tzinfo=UTC)
ALL_TIME = Interval(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
LOCK = Lock(Holder("wörker", {"log_url": "https://x/?a=b"}), 3, NOW, NOW, exclusive=True)
PARTITION = Partition("sales", "loader", ALL_TIME, PartitionState.LOCKED, 3, NOW, NOW, LOCK, "why", id=7)
SOURCE = Source("s3://bucket/prefix", "a-team", NOW, 1)
READINESS = Readiness(
    Question("sales", ALL_TIME, NOW), is_ready=False, as_of=2**62, gaps=(ALL_TIME,), blockers=(PARTITION,)
)

PROVIDER = Provider("loader", NOW, 2, ("sales", "clicks"))
TOKEN = AccessToken("0123456789abcdef", Principal(PrincipalKind.PROVIDER, "loader"), NOW, expires_at=NOW)

VALUES: list[tuple[Any, Any]] = [
    (Partition, PARTITION),
    (Readiness, READINESS),
    (SourceRegistration, SourceRegistration(SOURCE, "prs_x")),
    (Page[Source], Page((SOURCE,), next="s3://bucket/prefix")),
    (Page[Partition], Page((PARTITION,), next=7)),
    (Provider, PROVIDER),
    (ProviderRegistration, ProviderRegistration(PROVIDER, "prs_x")),
    (ProviderRegistration, ProviderRegistration(PROVIDER)),
    (Principal, TOKEN.principal),
    (Page[AccessToken], Page((TOKEN,), next=TOKEN.id)),
    (IssuedToken, IssuedToken(TOKEN, "prs_x")),
    (Event, Event(3, EventType.TOKEN_REVOKED, NOW, None, "loader")),
    (
        Event,
        Event(
            9, EventType.FORCE_RELEASE, NOW, "sales", "loader", ALL_TIME, "wörker", 3, {"reason": "\u2028"}
        ),
    ),
]

ERRORS = [
    errors.InvalidInputError("no"),
    errors.InvalidIntervalError("no interval"),
    errors.UnknownSourceError("sales"),
    errors.UnknownPartitionError(PartitionKey("sales", "loader", ALL_TIME)),
    errors.UnknownTokenError("0123456789abcdef"),
    errors.PrunedPositionError(7, 90, "2026-11-01T06:30:00Z"),
    errors.LostPositionError(7, "2026-11-01T06:30:00Z", 5),
    errors.ProviderAlreadyRegisteredError("loader", "sales"),
    errors.PartitionLockedError("it is locked", PARTITION),
    errors.NotLockHolderError("it is not yours", PARTITION),
    errors.InvalidTokenError(),
    errors.AdministratorTokenError(),
    errors.NoGrantError("loader", "sales"),
    errors.SchemaMissingError("postgresql://db/registry"),
    errors.StoreUnavailableError("it is down"),
    errors.TooManyAttemptsError(60),
]


@pytest.mark.parametrize(("kind", "value"), VALUES, ids=lambda each: getattr(each, "__name__", ""))
def test_values_come_back(kind: Any, value: Any):
    assert decode(kind, encode(kind, value)) == value


def test_a_holder_s_details_come_back():
    assert decode(Partition, encode(Partition, PARTITION)).lock.holder.details == LOCK.holder.details


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.code)
def test_errors_come_back_as_themselves(error: errors.RegistryError):
    again = error_from_data(json.loads(json.dumps(error_to_data(error))))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_an_error_of_a_newer_version_becomes_a_plain_one():
    again = error_from_data({"error": {"code": "of_tomorrow", "message": "Wait a day.", "details": {}}})
    assert type(again) is errors.RegistryError
    assert again.message == "Wait a day."


@pytest.mark.parametrize(
    "data", [None, [], "busy", {}, {"error": None}, {"error": {"code": 1}}, {"detail": "Not Found"}]
)
def test_data_that_is_not_an_error_is_refused(data: Any):
    with pytest.raises(NotOursError):
        error_from_data(data)


@pytest.mark.parametrize("data", ["", "null", "{}", "<html>", '{"name": 1}'])
def test_data_that_is_not_a_value_is_refused(data: str):
    with pytest.raises(NotOursError):
        decode(Source, data)
