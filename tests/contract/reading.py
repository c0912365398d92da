"""Readiness (R1, R2, R7, R8), the history (R9), and arguments that all calls refuse."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_partition_registry.domain import errors
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.domain.questions import Question
from airflow_provider_partition_registry.store.contract import RegistryReader, RegistryStore, RegistryViewer
from tests.contract.base import ContractBase, refused
from tests.contract.calls import CALLS, NEEDING_A_GRANT, call, spoiled_calls
from tests.contract.homes import ManualClock, all_events, hours

HOUR = timedelta(hours=1)
REGISTRATIONS = 5  # lines of history that the fixture ``store`` writes
DAYS_OF_ALL_MONTHS = hours(0, 24 * 31)


def publish(store: RegistryStore, *intervals: Interval, provider: str = "p") -> None:
    for interval in intervals:
        store.lock(PartitionKey("s", provider, interval), register=True)
        store.unlock(PartitionKey("s", provider, interval))


class ReadingContract(ContractBase):
    def test_nothing_published_is_one_gap(self, store: RegistryStore) -> None:
        store.register_partition(PartitionKey("s", "p", hours(0, 1)))
        answer = store.check_readiness("s", hours(0, 9))
        assert (answer.is_ready, answer.gaps, answer.blockers) == (False, (hours(0, 9),), ())

    @pytest.mark.parametrize(
        ("published", "asked", "gaps"),
        [
            ([(0, 1), (1, 2)], (0, 2), []),
            ([(0, 24)], (3, 4), []),
            ([(0, 24), (24, 25), (25, 49)], (2, 48), []),
            ([(0, 3), (2, 5)], (0, 5), []),
            ([(0, 9), (2, 3)], (0, 9), []),
            ([(0, 1), (2, 3)], (0, 3), [(1, 2)]),
            ([(1, 2), (3, 4)], (0, 5), [(0, 1), (2, 3), (4, 5)]),
            ([(0, 1)], (1, 2), [(1, 2)]),
            ([(0, 1)], (0.5, 1.5), [(1, 1.5)]),
        ],
    )
    def test_what_is_published_counts_by_its_union(
        self, store: RegistryStore, published, asked, gaps
    ) -> None:
        publish(store, *[hours(*each) for each in published])
        answer = store.check_readiness("s", hours(*asked))
        assert (answer.is_ready, answer.gaps) == (not gaps, tuple(hours(*each) for each in gaps))

    @pytest.mark.parametrize(
        ("locked", "blocks"), [((2, 3), True), ((0, 9), True), ((9, 10), False), ((-1, 0), False)]
    )
    @pytest.mark.parametrize("provider", ["p", "q"])
    def test_a_lock_blocks_what_overlaps_it(self, store: RegistryStore, provider, locked, blocks) -> None:
        publish(store, hours(0, 9))
        held = store.lock(PartitionKey("s", provider, hours(*locked)), register=True)
        answer = store.check_readiness("s", hours(0, 9))
        assert answer.blockers == ((held,) if blocks else ())
        assert answer.is_ready is not blocks

    def test_what_a_lock_hides_is_no_gap_if_others_published_it(self, store: RegistryStore) -> None:
        publish(store, hours(0, 9))
        store.lock(PartitionKey("s", "q", hours(2, 3)), register=True)
        assert store.check_readiness("s", hours(0, 10)).gaps == (hours(9, 10),)

    def test_an_answer_names_all_gaps_and_all_blockers_in_order(self, store: RegistryStore) -> None:
        publish(store, hours(4, 5), hours(1, 2))
        failed = store.lock(PartitionKey("s", "p", hours(6, 7)), register=True)
        failed = store.fail(PartitionKey("s", "p", hours(6, 7)), reason="x")
        locks = [store.lock(PartitionKey("s", name, hours(2, 3)), register=True) for name in ("q", "p")]
        answer = store.check_readiness("s", hours(0, 8))
        assert answer.blockers == (locks[1], locks[0], failed)
        assert answer.gaps == (hours(0, 1), hours(2, 4), hours(5, 8))

    def test_sources_do_not_mix(self, store: RegistryStore) -> None:
        publish(store, hours(0, 1))
        store.lock(PartitionKey("other", "r", hours(0, 1)), register=True)
        assert store.check_readiness("s", hours(0, 1)).is_ready
        assert not store.check_readiness("other", hours(0, 1)).is_ready

    def test_many_questions_are_answered_in_order(self, store: RegistryStore) -> None:
        publish(store, hours(0, 1))
        names = ["s", "nowhere", "other", "s"]
        answers = store.check_readiness_many([Question(name, hours(0, 1)) for name in names])
        assert [getattr(each, "is_ready", each.__class__) for each in answers] == [
            True,
            errors.UnknownSourceError,
            False,
            True,
        ]
        assert answers[1].source_name == "nowhere"
        assert store.check_readiness_many([]) == []

    @pytest.mark.parametrize("explain", [True, False])
    def test_each_of_many_answers_belongs_to_its_own_source_s_position(
        self, store: RegistryStore, explain: bool
    ) -> None:
        publish(store, hours(0, 1))
        store.lock(PartitionKey("other", "r", hours(0, 1)), register=True)
        position = {name: all_events(store, 0, name)[-1].position for name in ("s", "other")}
        questions = [Question(name, hours(n, n + 1)) for n in range(2) for name in ("s", "other", "s")]
        answers = store.check_readiness_many(questions, explain=explain)
        assert [each.as_of for each in answers] == [position[each.source_name] for each in questions]

    def test_names_with_marks_in_them_among_many_questions(self, store: RegistryStore) -> None:
        names = ["NULL", 'say"a"', "back\\slash", "{a,b}", "it's", "100%s", "naïve✓"]
        for name in names:
            store.register_source(name, "ann")
        answers = store.check_readiness_many([Question(name, hours(0, 1)) for name in names])
        assert [answer.question.source_name for answer in answers] == names

    def test_thousands_of_questions_at_once(self, store: RegistryStore) -> None:
        publish(store, hours(0, 1200))
        questions = [Question("s", hours(hour, hour + 1)) for hour in range(2400)]
        answers = store.check_readiness_many(questions)
        assert [answer.is_ready for answer in answers] == [hour < 1200 for hour in range(2400)]
        assert [answer.question for answer in answers] == questions

    def test_without_explanation_the_verdicts_are_the_same(self, store: RegistryStore) -> None:
        publish(store, hours(0, 2))
        store.lock(PartitionKey("s", "q", hours(1, 2)), register=True)
        questions = [
            Question("s", hours(start, start + 1), after)  # type: ignore[arg-type]
            for start in range(4)
            for after in (None, "2026-03-02")
        ]
        questions.append(Question("nowhere", hours(0, 1)))
        verdicts = [
            [
                getattr(each, "is_ready", None)
                for each in store.check_readiness_many(questions, explain=explain)
            ]
            for explain in (True, False)
        ]
        assert verdicts[0] == verdicts[1]

    def test_an_answer_is_as_true_as_the_data_is_ready(self, store: RegistryStore) -> None:
        assert not store.check_readiness("s", hours(0, 1))
        publish(store, hours(0, 1))
        assert store.check_readiness("s", hours(0, 1))

    @pytest.mark.parametrize("wrong", [None, "s", Question("s", hours(0, 1)), ["s"], 7])
    def test_anything_but_a_sequence_of_questions_is_refused(self, store: RegistryStore, wrong: Any) -> None:
        with refused(store, errors.InvalidInputError):
            store.check_readiness_many(wrong)

    def test_questions_that_can_be_read_only_once_are_not_lost(self, store: RegistryStore) -> None:
        once = (Question("s", hours(n, n + 1)) for n in range(3))
        with refused(store, errors.InvalidInputError):
            store.check_readiness_many(once)  # type: ignore[arg-type]

    def test_published_after(self, store: RegistryStore, clock: ManualClock) -> None:
        publish(store, hours(0, 2), hours(2, 4))
        later = clock.advance(HOUR)
        publish(store, hours(1, 2), provider="q")
        answer = store.check_readiness("s", hours(0, 5), published_after=later)
        assert (answer.stale, answer.gaps) == ((hours(0, 1), hours(2, 4)), (hours(4, 5),))
        assert store.check_readiness("s", hours(1, 2), published_after=later).is_ready
        assert not store.check_readiness(
            "s", hours(1, 2), published_after=later + timedelta(microseconds=1)
        ).is_ready
        assert store.check_readiness("s", hours(0, 4), published_after=later - HOUR).is_ready

    def test_publishing_times_in_the_future_do_not_count_as_fresh(
        self, store: RegistryStore, clock: ManualClock
    ) -> None:
        publish(store, hours(0, 1))
        clock.advance(HOUR)  # the clock is ahead for a while
        publish(store, hours(1, 2))
        now = clock.advance(-HOUR / 2)
        answer = store.check_readiness("s", hours(0, 2), now - HOUR / 2)
        assert (answer.stale, answer.gaps, answer.blockers) == ((hours(1, 2),), (), ())
        assert store.check_readiness("s", hours(0, 2)).is_ready
        publish(store, hours(1, 2))
        assert store.check_readiness("s", hours(0, 2), now - HOUR / 2).is_ready
        assert store.check_readiness("s", hours(1, 2), now).is_ready
        assert not store.check_readiness("s", hours(1, 2), now + HOUR / 2)

    def test_a_lock_held_elsewhere_in_the_source_does_not_disturb(self, store: RegistryStore) -> None:
        publish(store, hours(0, 2))
        store.lock(PartitionKey("s", "p", hours(2, 3)), register=True)
        assert store.check_readiness("s", hours(0, 2)).is_ready

    def test_rewritten_since_read(self, store: RegistryStore) -> None:
        publish(store, hours(0, 1), hours(1, 2))
        read = store.check_readiness("s", hours(0, 1)).as_of
        store.lock(PartitionKey("s", "p", hours(1, 2)))
        store.register_partition(PartitionKey("s", "q", hours(0, 1)))
        store.renew(PartitionKey("s", "p", hours(1, 2)), generation=2, lease=HOUR)
        assert not store.changed_since("s", hours(0, 1), read)
        assert store.changed_since("s", hours(0, 2), read)
        publish(store, hours(0, 1))
        assert store.changed_since("s", hours(0, 1), read)
        assert not store.changed_since("other", hours(0, 1), read)

    def test_a_position_from_before_a_restored_backup(self, store: RegistryStore) -> None:
        last = all_events(store)[-1].position
        assert not store.changed_since("s", hours(0, 1), last)
        assert store.changed_since("s", hours(0, 1), last + 1)
        assert store.events(last).items == ()
        with refused(store, errors.InvalidInputError) as caught:
            store.events(last + 1)
        assert "restored from a backup" in str(caught.value)

    def test_an_answer_belongs_to_the_newest_event_of_its_source(self, store: RegistryStore) -> None:
        publish(store, hours(0, 1))
        newest = all_events(store)[-1].position
        store.lock(PartitionKey("other", "r", hours(0, 1)), register=True)
        for interval in (hours(0, 1), hours(0, 2)):
            assert store.check_readiness("s", interval).as_of == newest

    def test_the_history_is_numbered_without_gaps_and_read_in_pages(self, store: RegistryStore) -> None:
        publish(store, hours(0, 1), hours(1, 2))
        whole = store.events().items
        assert [event.position for event in whole] == list(range(1, REGISTRATIONS + 7))
        seen: list[Any] = []
        page = store.events(limit=2)
        while page.next is not None:
            seen += page.items
            page = store.events(int(page.next), limit=2)
        assert (*seen, *page.items) == whole
        assert store.events(after=whole[-1].position).items == ()

    def test_the_history_of_one_source(self, store: RegistryStore) -> None:
        store.lock(PartitionKey("other", "r", hours(0, 1)), register=True)
        assert [event.type for event in store.events(source_name="other").items] == [
            *("SOURCE_REGISTERED", "PROVIDER_REGISTERED", "PARTITION_REGISTERED", "LOCK")
        ]

    def test_a_closed_store_opens_again(self, store: RegistryStore) -> None:
        with store as entered:
            assert entered is store
        store.close()
        assert store.get_source("s").name == "s"

    def test_a_registry_that_is_there_answers(self, store: RegistryStore) -> None:
        store.ping()

    def test_threads_may_share_a_store(self, store: RegistryStore) -> None:
        def work(number: int) -> int:
            publish(store, hours(number, number + 1), provider="pq"[number % 2])
            return store.check_readiness("s", hours(number, number + 1)).is_ready

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(work, range(24)))
        assert store.check_readiness("s", hours(0, 24)).is_ready


class RefusalContract(ContractBase):
    def test_every_method_is_listed(self) -> None:
        elsewhere = {"open_listener", "ping", "close", "change", "change_many", "with_max_age"}
        methods = {
            name
            for kind in (RegistryViewer, RegistryReader, RegistryStore)
            for name in kind.__dict__
            if name[0] != "_"
        }
        assert set(CALLS) == methods - elsewhere

    @pytest.mark.parametrize("method", [name for name, given in CALLS.items() if "source_name" in given])
    def test_unknown_sources(self, store: RegistryStore, method: str) -> None:
        if method != "register_source":
            with refused(store, errors.UnknownSourceError) as caught:
                call(store, method, source_name="nowhere")
            assert caught.value.source_name == "nowhere"

    @pytest.mark.parametrize("method", [name for name, given in CALLS.items() if "provider_name" in given])
    def test_unknown_providers(self, store: RegistryStore, method: str) -> None:
        if method != "register_provider":
            with refused(store, errors.UnknownProviderError) as caught:
                call(store, method, provider_name="nobody")
            assert caught.value.provider_name == "nobody"

    @pytest.mark.parametrize("method", [name for name, given in CALLS.items() if "interval" in given])
    def test_unknown_partitions(self, store: RegistryStore, method: str) -> None:
        if "provider_name" in CALLS[method] and method not in ("register_partition", "register_many"):
            with refused(store, errors.UnknownPartitionError) as caught:
                call(store, method)
            assert caught.value.interval == hours(0, 1)

    @pytest.mark.parametrize("method", NEEDING_A_GRANT)
    def test_providers_without_a_grant(self, store: RegistryStore, method: str) -> None:
        store.register_partition(PartitionKey("s", "p", hours(0, 1)))
        with refused(store, errors.NoGrantError):
            call(store, method, provider_name="r")

    @pytest.mark.parametrize("method", ["check_readiness", *NEEDING_A_GRANT[2:]])
    def test_looking_at_a_partition_of_nobody_registers_nothing(
        self, store: RegistryStore, method: str
    ) -> None:
        with pytest.raises(errors.UnknownError):
            call(store, method, source_name="nowhere")
        assert store.list_partitions("s").items == ()

    @pytest.mark.parametrize("method", list(CALLS))
    def test_malformed_calls(self, store: RegistryStore, method: str) -> None:
        store.lock(PartitionKey("s", "p", hours(0, 1)), register=True)
        before = all_events(store)
        wrong = []
        for name, argument, value in spoiled_calls():
            if name == method and (outcome := _outcome(store, name, argument, value)):
                wrong.append(f"{argument}={value!r:.60}: {outcome}")
        assert not wrong, "\n".join(wrong)
        assert all_events(store) == before

    @pytest.mark.parametrize("details", [None, "text", [1], {"a": 1}, {1: "a"}, {"a b": "x"}, {"a": "\x00"}])
    def test_malformed_details_of_a_holder(self, details: Any) -> None:
        from airflow_provider_partition_registry.domain.models import Holder

        with pytest.raises(errors.InvalidInputError):
            Holder("me", details)


def _outcome(store: RegistryStore, method: str, argument: str, value: Any) -> str | None:
    """What is wrong with the outcome of a call that should be refused as malformed; None if nothing."""
    try:
        answer = call(store, method, **{argument: value})
    except errors.InvalidInputError:
        return None
    except Exception as error:  # nothing but the expected errors may be raised
        return f"{type(error).__name__}: {error}"[:120]
    return f"accepted, {answer!r:.60}"
