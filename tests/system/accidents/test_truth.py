"""The truth that answers are compared with, and the watcher that compares. Quick."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store.factory import open_store
from tests.system.accidents.journal import VOUCHED, Entry, Journal, is_half_written
from tests.system.accidents.watcher import Watch
from tests.system.dags.accident_journal import Performance

DAY = Interval("2026-11-01", "2026-11-02")
WORK = ("w1", "w2")


def told(*events: str) -> list[Entry]:
    """Entries from texts such as ``w1 begin``."""
    return [
        Entry(*text.split(), try_number=1, pid=0, parent_pid=0, at=float(number))
        for number, text in enumerate(events)
    ]


@pytest.mark.parametrize(
    ("events", "half_written"),
    [
        ((), False),
        (("lock granted",), False),
        (("w1 begin",), True),
        (("w1 begin", "w1 end"), True),
        (("w1 begin", "w1 end", "w2 begin"), True),
        (("w1 begin", "w1 end", "w2 begin", "w2 failed"), True),
        (("w1 begin", "w1 end", "w2 begin", "w2 end"), False),
        (("w1 begin", "w1 end", "w2 begin", f"w2 {VOUCHED}"), False),
        (("w1 begin", "w1 end", "w2 begin", f"w2 {VOUCHED}", "w2 failed"), False),
        (("w1 begin", "w1 end", "w2 begin", f"w2 {VOUCHED}", "w2 begin"), True),
        (("w1 begin", "w1 end", "w2 begin", "w2 end", "w1 begin"), True),
        (("w1 begin", "w1 end", "w2 begin", "w2 end", "w1 begin", "w1 failed"), True),
        (("w1 begin", "w1 end", "w2 begin", "w2 end", "w1 begin", "w1 end"), False),
        (("w1 begin", "w1 end", "w2 begin", "w2 end", "stray begin"), True),
    ],
)
def test_data_are_half_written_until_all_work_has_ended_well(
    events: tuple[str, ...], half_written: bool
) -> None:
    assert is_half_written(told(*events), WORK) is half_written


class Registrar:
    """A task instance as far as a performance looks at it."""

    task_id, map_index, try_number = "group.w1", -1, 1


def test_the_watcher_finds_an_answer_that_is_wrong(tmp_path: Path, migrated_sqlite_url: str) -> None:
    journal = Journal(tmp_path)
    watch = Watch("s", DAY, journal, ("w1",))
    with open_store(migrated_sqlite_url) as registry:
        registry.register_provider("p", registry.register_source("s", "o").access_token)
        registry.lock(PartitionKey("s", "p", DAY), register=True)
        Performance(str(tmp_path), Registrar).begin()
        watch.ask(registry)
        assert not watch.false_ready

        registry.unlock(PartitionKey("s", "p", DAY))
        watch.ask(registry)
        assert len(watch.false_ready) == 1
        assert "w1 begin" in str(watch.false_ready[0])

        Performance(str(tmp_path), Registrar).end("go")
        watch.ask(registry)
        assert len(watch.false_ready) == 1
        assert watch.questions_while_half_written == 2
