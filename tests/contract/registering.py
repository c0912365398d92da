"""Registering and looking up: sources, providers, partitions (R10)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_partition_registry.domain import errors
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey, PartitionState
from airflow_provider_partition_registry.domain.names import check_name
from airflow_provider_partition_registry.store.contract import RegistryStore
from tests.contract.base import ContractBase, newest, refused, walk
from tests.contract.calls import MISTAKABLE
from tests.contract.homes import NOON, all_events, hours

GOOD_NAMES = [
    "x" * 250,
    "bucket/prefix:part%d'\"\\;--",
    "Datenbank.Größe",
    "データ",
    "\N{MATHEMATICAL SCRIPT CAPITAL X}",
    "_",
    "%",
    "null",
]


class RegisteringContract(ContractBase):
    def test_a_source_can_be_looked_up(self, empty_store: RegistryStore) -> None:
        registered = empty_store.register_source("s", "Team S, floor 2").source
        assert registered == empty_store.get_source("s")
        assert (registered.name, registered.owner, registered.registered_at) == ("s", "Team S, floor 2", NOON)
        assert newest(empty_store).type == "SOURCE_REGISTERED"

    def test_a_source_may_have_a_real_address(self, empty_store: RegistryStore) -> None:
        registered = empty_store.register_source("s", "ann", uri="s3://bucket/sales").source
        assert registered.uri == "s3://bucket/sales"
        assert newest(empty_store).details["uri"] == "s3://bucket/sales"
        assert empty_store.register_source("t", "ann").source.uri is None
        assert "uri" not in newest(empty_store).details
        assert empty_store.get_source("s") == registered
        assert [each.uri for each in empty_store.list_sources().items] == ["s3://bucket/sales", None]
        assert [each.source.uri for each in empty_store.list_overviews().items] == ["s3://bucket/sales", None]
        assert empty_store.get_overview("s").source == registered

    def test_the_address_can_be_changed(self, store: RegistryStore) -> None:
        before, events = store.get_source("s"), len(all_events(store))
        for uri in ("s3://bucket/sales", "postgres://host/db/schema/table", None):
            former = store.get_source("s").uri
            changed = store.set_source_uri("s", uri)
            assert changed == replace(before, uri=uri) == store.get_source("s")
            told = {"owner": "team-s", "uri": uri, "former_uri": former}
            event = newest(store)
            assert (event.type, event.source_name, event.at) == ("SOURCE_REGISTERED", "s", NOON)
            assert event.details == {name: text for name, text in told.items() if text is not None}
            assert store.set_source_uri("s", uri) == changed  # says it again, and changes nothing
        assert len(all_events(store)) == events + 3
        assert store.get_source("other").uri is None

    def test_an_address_changes_nothing_about_data(self, store: RegistryStore) -> None:
        key = PartitionKey("s", "p", hours(0, 1))
        store.lock(key, register=True)
        store.unlock(key)
        as_of = store.check_readiness("s", hours(0, 1)).as_of
        store.set_source_uri("s", "s3://bucket/sales")
        assert store.check_readiness("s", hours(0, 1)).is_ready
        assert not store.changed_since("s", hours(0, 1), as_of)

    def test_nobody_tells_the_address_of_nothing(self, store: RegistryStore) -> None:
        with refused(store, errors.UnknownSourceError):
            store.set_source_uri("nowhere", "s3://bucket/sales")

    @pytest.mark.parametrize("name", GOOD_NAMES)
    def test_names_come_back_as_they_went_in(self, empty_store: RegistryStore, name: str) -> None:
        token = empty_store.register_source(name, name).access_token
        assert empty_store.register_provider(name, token).provider.source_names == (name,)
        partition = empty_store.lock(PartitionKey(name, name, hours(0, 1)), holder=name, register=True)
        assert (partition.source_name, partition.provider_name, partition.lock.holder.identity) == (name,) * 3
        assert [each.name for each in empty_store.list_sources().items] == [name]
        assert newest(empty_store).holder == name

    @pytest.mark.parametrize("name", MISTAKABLE, ids=ascii)
    def test_what_has_a_mistakable_name_already_can_be_used_and_cleared_away(
        self, empty_store: RegistryStore, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as former:
            for module in ("store.sql.store", "store.http.store", "domain.requests"):
                former.setattr(f"airflow_provider_partition_registry.{module}.check_new_name", check_name)
            token = empty_store.register_source(name, "ann").access_token
            empty_store.register_provider(name, token)
            empty_store.lock(PartitionKey(name, name, hours(0, 1)), holder=name, register=True)
        assert [each.name for each in empty_store.list_sources().items] == [name]
        assert empty_store.list_sources(after=name).items == ()
        empty_store.unlock(PartitionKey(name, name, hours(0, 1)), holder=name)
        assert empty_store.check_readiness(name, hours(0, 1)).is_ready
        empty_store.lock(PartitionKey(name, name, hours(0, 1)))
        empty_store.force_release(PartitionKey(name, name, hours(0, 1)), reason="wrong name", by="ann")
        assert (
            empty_store.withdraw(PartitionKey(name, name, hours(0, 1)), reason="wrong name", by="ann").lock
            is None
        )

    def test_a_source_is_registered_once(self, store: RegistryStore, token: str) -> None:
        with refused(store, errors.SourceAlreadyRegisteredError) as caught:
            store.register_source("s", "somebody else")
        assert token not in str(caught.value)
        assert store.get_source("s").owner == "team-s"

    def test_names_differ_by_case(self, store: RegistryStore) -> None:
        assert store.register_source("S", "another").source.id != store.get_source("s").id

    def test_a_provider_gets_a_grant_with_its_registration(self, store: RegistryStore) -> None:
        provider = store.get_provider("p")
        assert (provider.name, provider.source_names, provider.registered_at) == ("p", ("s",), NOON)

    def test_a_second_token_adds_a_grant(self, store: RegistryStore, token: str) -> None:
        assert store.register_provider("r", token).provider.source_names == ("other", "s")
        assert (newest(store).type, newest(store).source_name, newest(store).provider_name) == (
            "GRANTED",
            "s",
            "r",
        )
        store.register_partition(PartitionKey("s", "r", hours(0, 1)))

    def test_a_grant_is_given_once(self, store: RegistryStore, token: str) -> None:
        with refused(store, errors.ProviderAlreadyRegisteredError):
            store.register_provider("p", token)

    def test_a_partition_is_registered_once_per_provider(self, store: RegistryStore) -> None:
        partition = store.register_partition(PartitionKey("s", "p", hours(0, 1)))
        assert partition == store.get_partition(PartitionKey("s", "p", hours(0, 1)))
        assert (partition.state, partition.generation, partition.lock) == (PartitionState.REGISTERED, 0, None)
        with refused(store, errors.PartitionAlreadyRegisteredError):
            store.register_partition(PartitionKey("s", "p", hours(0, 1)))
        assert store.register_partition(PartitionKey("s", "q", hours(0, 1))).id != partition.id

    @pytest.mark.parametrize(
        "interval",
        [
            Interval("0001-01-01", "0001-01-01T00:00:00.000001"),
            Interval("9999-12-31T23:59:59.999998", "9999-12-31T23:59:59.999999"),
            Interval("0001-01-01", "9999-12-31T23:59:59.999999"),
            Interval("1969-12-31T23:59:59.999999", "1970-01-01T00:00:00.000001"),
            Interval("2026-03-29T02:30:00+02:00", "2026-03-29T03:00:00.5+02:00"),
        ],
        ids=str,
    )
    def test_intervals_come_back_to_the_microsecond(self, store: RegistryStore, interval: Interval) -> None:
        store.lock(PartitionKey("s", "p", interval), register=True)
        partition = store.unlock(PartitionKey("s", "p", interval))
        assert partition.interval == interval
        assert store.list_partitions("s", interval).items == (partition,)
        assert store.check_readiness("s", interval).is_ready
        assert newest(store).interval == interval
        assert not store.changed_since("s", interval, newest(store).position)

    def test_sources_are_listed_by_name_page_by_page(self, empty_store: RegistryStore) -> None:
        names = sorted(f"s{n:02}" for n in range(7))
        for name in reversed(names):
            empty_store.register_source(name, "ann")
        assert walk(lambda after: empty_store.list_sources(after, limit=3)) == [
            names[:3],
            names[3:6],
            names[6:],
        ]

    def test_a_last_page_that_is_full_has_no_next(self, empty_store: RegistryStore) -> None:
        for name in ("a", "b"):
            empty_store.register_source(name, "ann")
        assert empty_store.list_sources(limit=2).next is None
        assert empty_store.list_sources(after="b").items == ()

    def test_providers_are_listed_by_name_page_by_page(self, store: RegistryStore, token: str) -> None:
        assert walk(lambda after: store.list_providers(None, after, limit=2)) == [["p", "q"], ["r"]]
        assert walk(lambda after: store.list_providers("s", after, limit=1)) == [["p"], ["q"]]
        store.register_provider("r", token)
        assert [each.source_names for each in store.list_providers().items] == [
            ("s",),
            ("s",),
            ("other", "s"),
        ]

    def test_partitions_are_listed_by_start_page_by_page(self, store: RegistryStore) -> None:
        wanted = [hours(0, 24), hours(1, 2), hours(2, 3), hours(2, 9), hours(5, 6)]
        for interval in (wanted[2], wanted[4], wanted[0], wanted[3], wanted[1]):
            store.register_partition(PartitionKey("s", "p", interval))
        store.register_partition(PartitionKey("other", "r", hours(0, 1)))
        pages = walk(lambda after: store.list_partitions("s", None, after, limit=2), "interval")
        assert pages == [wanted[:2], wanted[2:4], wanted[4:]]

    def test_partitions_that_overlap_are_listed_page_by_page(self, store: RegistryStore) -> None:
        for interval in (hours(0, 24), hours(1, 2), hours(2, 3), hours(2, 9), hours(5, 6), hours(30, 31)):
            store.register_partition(PartitionKey("s", "p", interval))
            store.register_partition(PartitionKey("s", "q", interval))
        pages = walk(lambda after: store.list_partitions("s", hours(2, 5), after, limit=1), "interval")
        assert pages == [[each] for each in (hours(0, 24), hours(2, 3), hours(2, 9)) for _ in "pq"]

    def test_partitions_of_one_provider_are_listed_page_by_page(self, store: RegistryStore) -> None:
        for interval in (hours(0, 24), hours(1, 2), hours(2, 3), hours(2, 9), hours(5, 6), hours(30, 31)):
            store.register_partition(PartitionKey("s", "p", interval))
            store.register_partition(PartitionKey("s", "q", interval))
        for wanted, expected in (
            (hours(2, 5), [hours(0, 24), hours(2, 3), hours(2, 9)]),
            (None, [hours(0, 24), hours(1, 2), hours(2, 3), hours(2, 9), hours(5, 6), hours(30, 31)]),
        ):
            pages = walk(lambda after, at=wanted: store.list_partitions("s", at, after, 1, "q"), "key")
            assert pages == [[PartitionKey("s", "q", each)] for each in expected]

    def test_a_provider_without_partitions_is_told_from_one_that_does_not_exist(
        self, store: RegistryStore
    ) -> None:
        store.register_partition(PartitionKey("s", "p", hours(0, 1)))
        assert store.list_partitions("s", provider_name="q").items == ()
        with pytest.raises(errors.UnknownProviderError):
            store.list_partitions("s", provider_name="nobody")

    def test_a_list_that_shrinks_between_pages_goes_on(self, store: RegistryStore) -> None:
        for hour in range(4):
            store.register_partition(PartitionKey("s", "p", hours(hour, hour + 1)))
        first = store.list_partitions("s", limit=2)
        store.register_partition(PartitionKey("s", "p", hours(0, 9)))
        rest = store.list_partitions("s", after=int(first.next), limit=10)
        assert [each.interval for each in rest.items] == [hours(2, 3), hours(3, 4)]
