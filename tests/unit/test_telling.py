"""What a change or a refusal reports: when, who, why, and about which partition."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from airflow_provider_partition_registry.domain import locking
from airflow_provider_partition_registry.domain.errors import (
    InvalidInputError,
    NotLockHolderError,
    PartitionLockedError,
    PartitionStateError,
)
from airflow_provider_partition_registry.domain.intervals import check_length, instant_after
from airflow_provider_partition_registry.domain.locking import Change
from airflow_provider_partition_registry.domain.models import (
    Holder,
    Partition,
    PartitionKey,
    PartitionState,
    check_key,
)
from airflow_provider_partition_registry.domain.names import MAX_IDENTITY_LENGTH, check_limit
from airflow_provider_partition_registry.domain.principals import Principal, PrincipalKind, check_principal
from airflow_provider_partition_registry.domain.questions import Question, check_questions
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
from airflow_provider_partition_registry.domain.viewing import check_resolution
from tests.unit.values import HOUR, ME, NOW, OTHER, hours, partition

WHY: dict[str, Any] = {"reason": "he left", "by": "ann"}
KEY = partition().key


DECIDE: dict[str, Callable[[Partition], Change]] = {
    "force_release": lambda before: locking.force_release(before, PartitionState.READY, **WHY, now=NOW),
    "invalidate": lambda before: locking.invalidate(before, **WHY, now=NOW),
    "withdraw": lambda before: locking.withdraw(before, **WHY, now=NOW),
}


class TestDecisions:
    @pytest.mark.parametrize(
        ("verb", "state", "holder", "more"),
        [
            ("force_release", "locked", ME, {"to": "ready"}),
            ("invalidate", "ready", None, {}),
            ("withdraw", "failed", None, {}),
            ("withdraw", "expired", ME, {}),
        ],
    )
    def test_they_are_recorded_with_who_and_why(
        self, verb: str, state: str, holder: Holder | None, more: dict[str, str]
    ) -> None:
        change = DECIDE[verb](partition(state))
        assert (change.holder, change.details) == (holder, {**WHY, **more})
        assert (change.partition.reason, change.partition.changed_at) == ("he left (ann)", NOW)

    @pytest.mark.parametrize(
        ("verb", "state", "words"),
        [
            ("force_release", "ready", "There is no lock to release: "),
            ("invalidate", "locked", "Only published data can be invalidated: "),
            ("withdraw", "registered", "There is nothing to withdraw: "),
        ],
    )
    def test_decisions_that_the_state_does_not_allow(self, verb: str, state: str, words: str) -> None:
        before = partition(state)
        how = ", held by me since" if state == "locked" else " since 2026-03-01T11:00:00Z"
        with pytest.raises(PartitionStateError, match=f"^{words}partition .* is {state}{how}") as caught:
            DECIDE[verb](before)
        assert caught.value.partition is before


class TestWriters:
    def test_when_and_why_a_write_failed(self) -> None:
        change = locking.fail(partition("locked"), ME, None, "disk full", now=NOW)
        assert (change.details, change.partition.changed_at) == ({"reason": "disk full"}, NOW)

    def test_when_it_was_published(self) -> None:
        change = locking.publish(partition(), ME, None, now=NOW)
        assert change.partition.changed_at == change.partition.published_at == NOW

    def test_whose_lease_was_renewed(self) -> None:
        assert locking.renew(partition("expired"), 3, HOUR, now=NOW).holder == ME

    def test_when_a_lock_was_lost(self) -> None:
        neighbour = partition("expired", hours(0, 1), id=2)
        _, loss = locking.acquire(partition(), OTHER, now=NOW, neighbours=[neighbour])
        assert loss.partition.changed_at == NOW

    def test_what_was_before_is_forgotten_when_a_write_ends(self) -> None:
        assert locking.publish(partition("locked"), ME, None, now=NOW).partition.former is None

    def test_what_was_published_without_a_lock_was_not_published_under_one(self) -> None:
        published = locking.publish(partition(), ME, None, now=NOW).partition
        with pytest.raises(NotLockHolderError):
            locking.publish(published, ME, 1, now=NOW)


class TestRefusals:
    @pytest.mark.parametrize(
        ("verb", "call"),
        [
            ("publish", partial(locking.publish, now=NOW)),
            ("fail", partial(locking.fail, reason="disk full", now=NOW)),
            ("release", locking.release),
        ],
        ids=lambda each: each if isinstance(each, str) else "",
    )
    @pytest.mark.parametrize(
        ("holder", "generation", "caller"), [(OTHER, None, "holder 'other'"), (ME, 2, "generation 2")]
    )
    def test_they_say_with_which_holder_or_generation_the_caller_came(
        self, verb: str, call: Callable[..., Any], holder: Holder, generation: int | None, caller: str
    ) -> None:
        before = partition("locked")
        with pytest.raises(NotLockHolderError, match=f"^Cannot {verb} with {caller}: ") as caught:
            call(before, holder, generation)
        assert caught.value.partition is before
        assert "is locked, held by me since" in str(caught.value)

    def test_they_name_the_generation_of_a_renewal(self) -> None:
        before = partition("locked")
        with pytest.raises(
            NotLockHolderError, match=r"^Cannot renew the lease with generation 2: "
        ) as caught:
            locking.renew(before, 2, HOUR, now=NOW)
        assert caught.value.partition is before

    def test_a_release_without_a_known_former_state(self) -> None:
        before = partition("locked", former=None)
        with pytest.raises(PartitionStateError) as caught:
            locking.release(before, ME, None)
        assert caught.value.partition is before

    @pytest.mark.parametrize("wanted", [hours(0, 4), hours(1, 2)], ids=["the same", "an overlap"])
    def test_a_refused_lock_says_what_is_locked(self, wanted: Any) -> None:
        held = partition("locked", hours(0, 4), id=2)
        with pytest.raises(PartitionLockedError) as caught:
            locking.acquire(partition(interval=wanted), OTHER, now=NOW, neighbours=[held])
        overlaps = "" if wanted == held.interval else f", which overlaps {wanted},"
        what = f"Partition {held.interval} of source 's' (provider 'p'){overlaps} is locked by me since "
        assert str(caught.value).startswith(what)


class TestRequests:
    @pytest.mark.parametrize(
        ("request_", "state", "event", "to"),
        [
            (LockRequest(KEY, ME), "ready", "LOCK", "locked"),
            (RenewRequest(KEY, 3, HOUR), "expired", "RENEW", "locked"),
            (FinishRequest(KEY, Ending.UNLOCK, ME), "locked", "UNLOCK", "ready"),
            (FinishRequest(KEY, Ending.RELEASE, ME, 3), "locked", "RELEASE", "ready"),
            (FinishRequest(KEY, Ending.FAIL, ME, reason="disk full"), "locked", "FAIL", "failed"),
            (
                DecisionRequest(KEY, Decision.FORCE_RELEASE, **WHY, to=PartitionState.READY),
                "locked",
                "FORCE_RELEASE",
                "ready",
            ),
            (DecisionRequest(KEY, Decision.INVALIDATE, **WHY), "ready", "INVALIDATE", "failed"),
            (DecisionRequest(KEY, Decision.WITHDRAW, **WHY), "ready", "WITHDRAW", "registered"),
        ],
        ids=lambda each: str(each)[:20],
    )
    def test_each_leads_to_its_change(self, request_: ChangeRequest, state: str, event: str, to: str) -> None:
        (change,) = locking.decide(request_, partition(state), neighbours=[], now=NOW)
        assert (change.event, change.partition.state) == (event, to)
        reason = getattr(request_, "reason", None)
        assert change.details.get("reason") == reason
        assert change.details.get("by") == getattr(request_, "by", None)
        if event not in ("RELEASE", "RENEW"):
            assert change.partition.changed_at == NOW

    @pytest.mark.parametrize("ending", Ending)
    @pytest.mark.parametrize(("holder", "generation"), [(ME, None), (None, 3), (OTHER, 3)])
    def test_a_write_is_ended_by_its_holder_or_by_its_generation(
        self, ending: Ending, holder: Holder | None, generation: int | None
    ) -> None:
        asked = FinishRequest(KEY, ending, holder, generation, "why" if ending is Ending.FAIL else None)
        (change,) = locking.decide(asked, partition("locked"), neighbours=[], now=NOW)
        assert change.event.value == ending.value.upper()
        assert change.holder == ME

    def test_a_lock_as_it_was_asked_for(self) -> None:
        asked = LockRequest(KEY, ME, HOUR, True, True)
        neighbour = partition("expired", hours(0, 1), id=2, holder=OTHER)
        grant, loss = locking.decide(asked, partition(), neighbours=[neighbour], now=NOW)
        lock = grant.partition.lock
        assert (lock.holder, lock.locked_at, lock.expires_at, lock.exclusive) == (ME, NOW, NOW + HOUR, True)
        assert loss.partition.id == 2

    @pytest.mark.parametrize("ending", Ending)
    def test_what_is_finished_is_finished_once(self, ending: Ending) -> None:
        asked = FinishRequest(KEY, ending, ME, 3, "disk full" if ending is Ending.FAIL else None)
        (change,) = locking.decide(asked, partition("locked"), neighbours=[], now=NOW)
        assert locking.decide(asked, change.partition, neighbours=[], now=NOW) == []

    def test_a_caller_without_a_holder_is_the_provider(self) -> None:
        (change,) = locking.decide(LockRequest(KEY), partition(), neighbours=[], now=NOW)
        assert change.holder == Holder("p")
        assert to_holder("me") == Holder("me")

    @pytest.mark.parametrize(
        ("make", "words"),
        [
            (lambda: LockRequest(KEY, to_holder("a b")), "holder identity"),
            (lambda: LockRequest(KEY, to_holder("x" * (MAX_IDENTITY_LENGTH + 1))), "holder identity"),
            (lambda: LockRequest(KEY, to_holder("\u2800")), "holder identity"),
            (lambda: PartitionKey("", "p", hours(0, 1)), "source name"),
            (lambda: PartitionKey("s", "", hours(0, 1)), "provider name"),
            (lambda: Question("", hours(0, 1)), "source name"),
            (lambda: Principal(PrincipalKind.PROVIDER, ""), "provider name"),
            (lambda: check_key(7), "Expected a PartitionKey, not int."),  # type: ignore[arg-type]
            (lambda: LockRequest(KEY, lease=timedelta(0)), "The lease must be a length of time greater than"),
            (lambda: LockRequest(KEY, exclusive="no"), "exclusive is either true or false, not 'no'"),  # type: ignore[arg-type]
            (lambda: LockRequest(KEY, register=1), "register is either true or false, not 1"),  # type: ignore[arg-type]
            (lambda: RenewRequest(KEY, "1", HOUR), "generation"),  # type: ignore[arg-type]
            (lambda: RenewRequest(KEY, 1, -HOUR), "The lease must be"),
            (lambda: FinishRequest(KEY, Ending.UNLOCK, generation="1"), "generation"),  # type: ignore[arg-type]
            (lambda: FinishRequest(KEY, Ending.FAIL, reason=" "), "reason"),
            (lambda: DecisionRequest(KEY, Decision.WITHDRAW, "", "ann"), "reason"),
            (lambda: DecisionRequest(KEY, Decision.WITHDRAW, "why", ""), "name of who decides"),
            (lambda: check_limit(0), "A page has 1 to 10000 entries, not 0."),
            (lambda: check_limit(10_001), "A page has 1 to 10000 entries, not 10001."),
            (lambda: check_limit("9"), "limit"),  # type: ignore[arg-type]
            (lambda: check_resolution(0), "A resolution is 1 to 1000, not 0."),
            (lambda: check_resolution(1_001), "A resolution is 1 to 1000, not 1001."),
            (lambda: check_resolution(1.5), "resolution"),  # type: ignore[arg-type]
            (lambda: check_questions(7), "Give a sequence of Questions."),  # type: ignore[arg-type]
            (lambda: check_questions(["s"]), "Give a sequence of Questions."),  # type: ignore[list-item]
            (lambda: check_principal("s"), "Expected a Principal, not str."),  # type: ignore[arg-type]
        ],
    )
    def test_an_error_names_the_invalid_argument(self, make: Callable[[], object], words: str) -> None:
        with pytest.raises(InvalidInputError) as caught:
            make()
        assert re.search(rf"(?<!\w){re.escape(words)}", str(caught.value))

    @pytest.mark.parametrize("number", [1, 1_000])
    def test_valid_arguments_are_returned(self, number: int) -> None:
        assert check_limit(number) == check_resolution(number) == number
        assert check_limit(10_000) == 10_000
        questions = [Question("s", hours(0, 1))]
        assert check_questions(questions) is questions
        source = Principal(PrincipalKind.SOURCE, "s")
        assert check_principal(source) is source


class TestLengths:
    def test_zero_is_allowed_where_it_makes_sense(self) -> None:
        assert instant_after(NOW, timedelta(0), "overlap", may_be_zero=True) == NOW
        with pytest.raises(
            InvalidInputError, match=r"^The overlap must be a length of time of at least zero"
        ) as caught:
            check_length("overlap", -HOUR, may_be_zero=True)
        assert str(caught.value).endswith("not -3600 seconds.")

    @pytest.mark.parametrize(
        ("length", "told"), [(timedelta(0), "0 seconds"), (timedelta(minutes=-1), "-60 seconds"), (60, "60")]
    )
    def test_invalid_lengths_are_refused(self, length: Any, told: str) -> None:
        words = rf"^The lease must be a length of time greater than zero \(a timedelta\), not {told}\.$"
        with pytest.raises(InvalidInputError, match=words):
            check_length("lease", length)
        with pytest.raises(InvalidInputError, match=words):
            instant_after(NOW, length, "lease")
