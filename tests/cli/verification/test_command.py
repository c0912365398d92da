"""``db verify`` as a command."""

from __future__ import annotations

from airflow_provider_partition_registry.store.sql.store import SqlRegistryStore
from tests.cli.conftest import Command
from tests.cli.verification.damage import tamper


class TestCommand:
    def test_verify_and_repair(self, store: SqlRegistryStore, run: Command, database_url: str):
        assert run("db", "verify", url=database_url).code == 0
        tamper(store.database, "DELETE FROM {ready_interval}")
        told = run("db", "verify", url=database_url)
        assert (told.code, told.stderr) == (1, "")
        wrong, advice = told.stdout.splitlines()
        assert wrong.startswith(
            "Wrong: Source 'sales': ready by the partitions, but not kept as ready: [2026-11-01"
        )
        assert advice.endswith("partition-registry db verify --repair")
        healed = run("db", "verify", "--repair", url=database_url)
        assert healed.code == 0
        assert healed.stdout.splitlines()[0] == wrong.replace("Wrong", "Repaired")
        assert healed.stdout.endswith(" is sound.\n")

    def test_as_json(self, store: SqlRegistryStore, run: Command, database_url: str):
        tamper(store.database, "DELETE FROM {ready_interval}", "DELETE FROM {event} WHERE position = 4")
        told = run("db", "verify", "--json", url=database_url)
        assert told.code == 1
        assert {each["kind"] for each in told.json["discrepancies"]} == {
            "ready_interval_missing",
            "history_gap",
        }
        healed = run("db", "verify", "--repair", "--json", url=database_url)
        assert healed.code == 1, "what is lost stays reported"
        assert [each["kind"] for each in healed.json["repaired"]] == ["ready_interval_missing"]
        assert [each["kind"] for each in healed.json["discrepancies"]] == ["history_gap"]

    def test_a_loss_is_reported_until_it_is_known(
        self, store: SqlRegistryStore, run: Command, database_url: str
    ):
        tamper(store.database, "DELETE FROM {event} WHERE position IN (3, 4, 7)")
        told = run("db", "verify", url=database_url)
        wrong, advice = told.stdout.splitlines()
        assert told.code == 1
        assert wrong == (
            "Wrong: Registry: events lost from the history, which is numbered from 1 without a gap: "
            "event number 3, event number 4, event number 7."
            if store.database.is_sqlite
            else "Wrong: Source 'sales': events lost from the history, which has fewer than were counted: 3."
        )
        assert advice.endswith(": partition-registry db verify --known-lost 3")
        assert run("db", "verify", "--known-lost", "2", url=database_url).stdout == told.stdout
        accepted = run("db", "verify", "--known-lost", "3", url=database_url)
        known, rest = accepted.stdout.splitlines()
        assert (accepted.code, known) == (0, wrong.replace("Wrong", "Known"))
        assert rest.startswith("Apart from that, the registry in ")

    def test_a_known_loss_hides_nothing_else(self, store: SqlRegistryStore, run: Command, database_url: str):
        tamper(store.database, "DELETE FROM {event} WHERE position = 4", "DELETE FROM {ready_interval}")
        told = run("db", "verify", "--known-lost", "1", "--json", url=database_url)
        assert told.code == 1
        assert [each["kind"] for each in told.json["known"]] == ["history_gap"]
        assert [each["kind"] for each in told.json["discrepancies"]] == ["ready_interval_missing"]

    def test_an_unrepairable_row_needs_a_person_or_a_backup(
        self, store: SqlRegistryStore, run: Command, database_url: str
    ):
        tamper(store.database, "UPDATE {partition} SET generation = 5 WHERE state = 'locked'")
        told = run("db", "verify", url=database_url)
        assert told.stdout.splitlines()[-1] == "What cannot be recomputed needs a person, or a backup."
