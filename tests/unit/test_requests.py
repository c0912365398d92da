"""Requests are checked when they are made, and survive a round trip through JSON."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.domain.models import Holder, PartitionKey, PartitionState
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
from airflow_provider_partition_registry.store.wire.requests import (
    DecisionBody,
    FailBody,
    ForceReleaseBody,
    LockBody,
    ReleaseBody,
    RenewBody,
    UnlockBody,
    request_to_data,
)
from tests.unit.values import hours

KEY = PartitionKey("sales", "loader", hours(0, 1))
ME = Holder("me", {"host": "worker-1"})
LEASE = timedelta(minutes=5)
WHY: dict[str, Any] = {"reason": "wrong numbers", "by": "ann"}

SENT: list[tuple[str, ChangeRequest, Callable[[Any], ChangeRequest]]] = [
    ("lock", LockRequest(KEY), lambda data: LockBody(**data).request()),
    ("lock", LockRequest(KEY, ME, LEASE, True, True), lambda data: LockBody(**data).request()),
    ("renew", RenewRequest(KEY, 3, LEASE), lambda data: RenewBody(**data).request()),
    ("unlock", FinishRequest(KEY, Ending.UNLOCK), lambda data: UnlockBody(**data).request()),
    ("unlock", FinishRequest(KEY, Ending.UNLOCK, ME, 3), lambda data: UnlockBody(**data).request()),
    ("fail", FinishRequest(KEY, Ending.FAIL, ME, 3, "disk full"), lambda data: FailBody(**data).request()),
    ("release", FinishRequest(KEY, Ending.RELEASE, ME), lambda data: ReleaseBody(**data).request()),
    (
        "force-release",
        DecisionRequest(KEY, Decision.FORCE_RELEASE, **WHY, to=PartitionState.READY),
        lambda data: ForceReleaseBody(**data).request(),
    ),
    (
        "invalidate",
        DecisionRequest(KEY, Decision.INVALIDATE, **WHY),
        lambda data: DecisionBody(**data).request(Decision.INVALIDATE),
    ),
    (
        "withdraw",
        DecisionRequest(KEY, Decision.WITHDRAW, **WHY),
        lambda data: DecisionBody(**data).request(Decision.WITHDRAW),
    ),
]


@pytest.mark.parametrize(("verb", "request_", "received"), SENT)
def test_a_request_arrives_as_it_was_sent(
    verb: str, request_: ChangeRequest, received: Callable[[Any], ChangeRequest]
) -> None:
    path, data = request_to_data(request_)

    assert path == f"/partitions/{verb}"
    assert received(data) == request_


@pytest.mark.parametrize(
    "make",
    [
        lambda: PartitionKey("a b", "loader", KEY.interval),
        lambda: PartitionKey("sales", "", KEY.interval),
        lambda: PartitionKey("sales", "loader", "2026-11-01"),  # type: ignore[arg-type]
        lambda: LockRequest(("sales", "loader", KEY.interval)),  # type: ignore[arg-type]
        lambda: LockRequest(KEY, to_holder("a b")),
        lambda: LockRequest(KEY, to_holder("\u2800")),
        lambda: LockRequest(KEY, lease=timedelta(0)),
        lambda: LockRequest(KEY, lease=60),  # type: ignore[arg-type]
        lambda: LockRequest(KEY, exclusive="false"),  # type: ignore[arg-type]
        lambda: RenewRequest(KEY, 1.5, LEASE),  # type: ignore[arg-type]
        lambda: RenewRequest(KEY, 1, None),
        lambda: FinishRequest(KEY, Ending.FAIL),
        lambda: FinishRequest(KEY, Ending.UNLOCK, generation="1"),  # type: ignore[arg-type]
        lambda: DecisionRequest(KEY, Decision.INVALIDATE, reason="", by="ann"),
        lambda: DecisionRequest(KEY, Decision.FORCE_RELEASE, **WHY, to=PartitionState.REGISTERED),
    ],
)
def test_invalid_requests_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(InvalidInputError):
        make()


@pytest.mark.parametrize("to", ["locked", "registered", "expired", "nonsense", None])
def test_a_lock_is_released_to_failed_or_ready_only(to: Any) -> None:
    with pytest.raises(InvalidInputError, match="to 'failed' or 'ready', not to"):
        DecisionRequest(KEY, Decision.FORCE_RELEASE, **WHY, to=to)


def test_a_state_may_be_given_as_text() -> None:
    assert DecisionRequest(KEY, Decision.FORCE_RELEASE, **WHY, to="ready").to is PartitionState.READY  # type: ignore[arg-type]
