"""What is pruned, and what is said about it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from airflow_provider_partition_registry.domain import errors
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import EventType, PartitionKey
from airflow_provider_partition_registry.store.contract import RegistryStore
from tests.contract.base import ContractBase
from tests.contract.homes import Home, ManualClock, all_events, hours

HOUR = timedelta(hours=1)
Prune = Callable[..., tuple[int, int]]


def write(store: RegistryStore, provider: str, *intervals: Interval, times: int = 1) -> int:
    """Lock and publish partitions, and return the position that has been reached."""
    for interval in intervals:
        for _ in range(times):
            store.lock(PartitionKey("s", provider, interval), register=True)
            store.unlock(PartitionKey("s", provider, interval))
    return store.last_position()


def types(store: RegistryStore) -> list[str]:
    """What is left of the history of ``s`` about partitions, the oldest first."""
    events = store.latest_events("s", limit=1000).items
    return [each.type.value for each in reversed(events) if each.interval]


class PruningContract(ContractBase):
    @pytest.fixture
    def prune(self, home: Home, clock: ManualClock) -> Prune:
        """Prunes of what happened before some time ago."""

        def prune(ago: timedelta = timedelta(0)) -> tuple[int, int]:
            assert home.prune
            assert home.verify
            removed = home.prune(clock.now - ago)
            assert home.verify() == []
            return removed

        return prune

    def test_the_last_event_of_each_partition_stays(
        self, store: RegistryStore, clock: ManualClock, prune: Prune
    ) -> None:
        write(store, "p", hours(0, 1), hours(1, 2), times=2)
        store.invalidate(PartitionKey("s", "p", hours(1, 2)), reason="wrong", by="ann")
        store.lock(PartitionKey("s", "q", hours(2, 3)), register=True, lease=HOUR)
        store.register_partition(PartitionKey("s", "q", hours(3, 4)))
        clock.advance(HOUR)
        assert prune() == (10, 0)
        assert types(store) == ["UNLOCK", "INVALIDATE", "LOCK", "PARTITION_REGISTERED"]
        assert prune() == (0, 0)

    def test_what_happened_since_stays(self, store: RegistryStore, clock: ManualClock, prune: Prune) -> None:
        write(store, "p", hours(0, 1))
        clock.advance(HOUR)
        write(store, "p", hours(0, 1))
        assert prune() == (3, 0)
        assert types(store) == ["LOCK", "UNLOCK"]
        assert prune(2 * HOUR) == (0, 0)

    def test_a_source_is_pruned_up_to_the_first_event_that_stays(
        self, store: RegistryStore, clock: ManualClock, prune: Prune
    ) -> None:
        """Also when the clock has been set back since."""
        write(store, "p", hours(0, 1))
        clock.advance(-HOUR)
        write(store, "p", hours(0, 1))
        clock.advance(HOUR)
        assert prune(HOUR / 2) == (0, 0)

    def test_what_concerns_no_partition_stays(
        self, store: RegistryStore, clock: ManualClock, token: str, prune: Prune
    ) -> None:
        store.revoke_grant("s", "q", reason="gone", by="ann")
        store.register_provider("q", token)
        before = all_events(store)
        clock.advance(HOUR)
        assert prune() == (0, 0)
        assert all_events(store) == before

    def test_who_followed_from_before_is_told(
        self, store: RegistryStore, clock: ManualClock, prune: Prune
    ) -> None:
        begun = store.last_position()
        write(store, "p", hours(0, 1), times=2)
        end = store.last_position()
        clock.advance(HOUR)
        prune()
        for source_name in (None, "s"):
            for cursor in (0, begun, end - 2):
                with pytest.raises(errors.PrunedPositionError, match="pruned") as caught:
                    store.events(cursor, source_name)
                assert (caught.value.position, caught.value.pruned_to) == (cursor, end - 1)
            left = store.events(end - 1, source_name).items
            assert [(each.position, each.type) for each in left] == [(end, EventType.UNLOCK)]

    def test_who_follows_another_source_is_not_disturbed(
        self, store: RegistryStore, clock: ManualClock, prune: Prune
    ) -> None:
        before = all_events(store, 0, "other")
        write(store, "p", hours(0, 1))
        clock.advance(HOUR)
        prune()
        assert all_events(store, 0, "other") == before

    def test_what_was_read_long_ago_is_still_known_to_be_good_or_bad(
        self, store: RegistryStore, clock: ManualClock, prune: Prune
    ) -> None:
        write(store, "p", hours(0, 1), hours(1, 2))
        as_of = store.check_readiness("s", hours(0, 2)).as_of
        write(store, "p", hours(1, 2), times=3)
        newest = store.check_readiness("s", hours(0, 2)).as_of
        clock.advance(HOUR)
        prune()
        assert not store.changed_since("s", hours(0, 1), as_of)
        assert store.changed_since("s", hours(1, 2), as_of)
        assert store.check_readiness("s", hours(0, 2)).as_of == newest
        assert not store.changed_since("s", hours(0, 2), newest)

    def test_the_history_backwards_says_that_it_is_not_whole(
        self, store: RegistryStore, clock: ManualClock, prune: Prune
    ) -> None:
        write(store, "p", hours(0, 1))
        assert store.latest_events("s").pruned_before is None
        clock.advance(HOUR)
        prune()
        write(store, "p", hours(5, 6), times=4)
        first = store.latest_events("s", limit=3)
        assert (len(first.items), first.pruned_before) == (3, None)
        assert store.latest_events("s", limit=1000).pruned_before == clock.now
        assert store.latest_events("s", before=1).pruned_before == clock.now
        assert store.latest_events("other").pruned_before is None

    def test_a_partition_under_later_ones_goes(
        self, store: RegistryStore, clock: ManualClock, prune: Prune
    ) -> None:
        write(store, "p", hours(0, 2), hours(4, 6))
        clock.advance(HOUR)
        write(store, "q", hours(0, 1), hours(1, 3), hours(4, 5), hours(8, 9))
        clock.advance(HOUR)
        answers = [
            store.check_readiness("s", hours(0, 6), after)
            for after in (None, clock.now - 2 * HOUR, clock.now)
        ]
        assert prune() == (13, 1)
        assert {each.interval for each in store.list_partitions("s").items if each.provider_name == "p"} == {
            hours(4, 6)
        }
        assert answers == [
            store.check_readiness("s", hours(0, 6), after)
            for after in (None, clock.now - 2 * HOUR, clock.now)
        ]

    def test_with_the_only_long_partition_its_class_of_lengths_goes(
        self, store: RegistryStore, clock: ManualClock, prune: Prune
    ) -> None:
        write(store, "p", hours(0, 24))
        write(store, "q", hours(0, 1))
        clock.advance(HOUR)
        write(store, "q", hours(0, 12), hours(12, 24), hours(30, 31))
        clock.advance(HOUR)
        assert prune()[1] == 2
        write(store, "p", hours(0, 24))
        assert store.check_readiness("s", hours(0, 24)).is_ready

    def test_of_two_that_were_published_at_the_same_moment_one_stays(
        self, store: RegistryStore, clock: ManualClock, prune: Prune
    ) -> None:
        write(store, "p", hours(0, 1))
        write(store, "q", hours(0, 1))
        clock.advance(HOUR)
        assert prune() == (5, 1)
        assert store.check_readiness("s", hours(0, 1)).is_ready

    @pytest.mark.parametrize("verb", ["lock", "fail", "withdraw", "invalidate"])
    def test_what_does_not_cover_supersedes_nothing(
        self, store: RegistryStore, clock: ManualClock, prune: Prune, verb: str
    ) -> None:
        key = PartitionKey("s", "q", hours(0, 2))
        write(store, "p", hours(0, 1))
        write(store, "q", hours(0, 2))
        if verb in ("lock", "fail"):
            store.lock(key)
        if verb == "fail":
            store.fail(key, reason="disk full")
        if verb in ("withdraw", "invalidate"):
            getattr(store, verb)(key, reason="wrong", by="ann")
        clock.advance(HOUR)
        assert prune()[1] == 0
        assert store.get_partition(PartitionKey("s", "p", hours(0, 1))).published_at

    @pytest.mark.parametrize("state", ["registered", "withdrawn", "failed", "locked"])
    def test_only_what_is_ready_goes(
        self, store: RegistryStore, clock: ManualClock, prune: Prune, state: str
    ) -> None:
        """A registered partition can still be published, and a withdrawn one must not be without a new lock."""
        key = PartitionKey("s", "p", hours(0, 1))
        store.register_partition(key)
        if state != "registered":
            store.lock(key)
        if state == "failed":
            store.fail(key, reason="disk full")
        if state == "withdrawn":
            store.withdraw(key, reason="retired", by="ann")
        was = store.get_partition(key)
        write(store, "q", hours(0, 1))
        clock.advance(HOUR)
        assert prune()[1] == 0
        assert store.get_partition(key) == was

    def test_generations_of_a_former_life_stay_dead(
        self, store: RegistryStore, clock: ManualClock, prune: Prune
    ) -> None:
        key = PartitionKey("s", "p", hours(0, 1))
        write(store, "p", hours(0, 1), times=3)
        write(store, "q", hours(0, 1))
        clock.advance(HOUR)
        assert prune()[1] == 1
        for generation in (1, 2, 3):
            with pytest.raises(errors.UnknownPartitionError):
                store.unlock(key, generation=generation)
        store.register_partition(key)
        for generation in (1, 2, 3):
            with pytest.raises(errors.NotLockHolderError):
                store.unlock(key, generation=generation)
        assert store.lock(key, holder="next").generation == 4
        for generation in (1, 2, 3):
            with pytest.raises(errors.NotLockHolderError):
                store.unlock(key, generation=generation)
            with pytest.raises(errors.NotLockHolderError):
                store.renew(key, generation=generation, lease=HOUR)
        assert store.unlock(key, generation=4).published_at == clock.now

    def test_the_position_of_a_source_stays(
        self, store: RegistryStore, clock: ManualClock, prune: Prune
    ) -> None:
        """Also if its last event is about a partition that is superseded: a reader could never catch up with it."""
        write(store, "p", hours(0, 1))
        clock.advance(HOUR)
        write(store, "q", hours(0, 1))
        store.lock(PartitionKey("s", "p", hours(0, 1)))
        store.release(PartitionKey("s", "p", hours(0, 1)))
        clock.advance(HOUR)
        as_of = store.check_readiness("s", hours(0, 1)).as_of
        prune()
        assert store.check_readiness("s", hours(0, 1)).as_of == as_of
        assert not store.changed_since("s", hours(0, 1), as_of)

    def test_the_newest_partition_stays(self, store: RegistryStore, clock: ManualClock, prune: Prune) -> None:
        """Another one that got its id would be taken for it by who turns the pages of a list."""
        write(store, "q", hours(0, 1))
        write(store, "p", hours(0, 1))
        newest = store.get_partition(PartitionKey("s", "p", hours(0, 1)))
        clock.advance(HOUR)
        write(store, "q", hours(0, 1))
        clock.advance(HOUR)
        assert prune()[1] == 0
        write(store, "q", hours(1, 2))
        assert store.get_partition(PartitionKey("s", "q", hours(1, 2))).id > newest.id
        assert prune(-HOUR)[1] == 1

    def test_what_was_read_from_a_partition_that_is_gone_counts_as_changed(
        self, store: RegistryStore, clock: ManualClock, prune: Prune
    ) -> None:
        write(store, "p", hours(0, 1))
        clock.advance(HOUR)
        as_of = write(store, "q", hours(0, 1))
        store.lock(PartitionKey("s", "p", hours(0, 1)))
        store.release(PartitionKey("s", "p", hours(0, 1)))
        write(store, "q", hours(8, 9))
        clock.advance(HOUR)
        assert store.changed_since("s", hours(0, 1), as_of)
        assert prune()[1] == 1
        assert store.changed_since("s", hours(0, 1), as_of)
        newest = store.check_readiness("s", hours(0, 1)).as_of
        assert not store.changed_since("s", hours(0, 1), newest)

    def test_a_list_that_cannot_go_on_says_so(
        self, store: RegistryStore, clock: ManualClock, prune: Prune
    ) -> None:
        write(store, "p", hours(0, 1), hours(1, 2))
        page = store.list_partitions("s", limit=1)
        write(store, "q", hours(0, 1))
        clock.advance(HOUR)
        assert prune()[1] == 1
        with pytest.raises(errors.InvalidInputError, match="pruned"):
            store.list_partitions("s", after=page.next)  # type: ignore[arg-type]
