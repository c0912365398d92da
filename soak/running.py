"""One soak from its beginning to its end: loads, looks, tells how it goes, and collects the facts."""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from functools import partial
from statistics import median

import psycopg2

from airflow_provider_partition_registry.store.factory import open_store
from airflow_provider_partition_registry.store.maintenance import verify
from demo.console import Console
from soak.accidents import Accidents
from soak.facts import Facts, HistoryLine, history_of
from soak.journal import STREAMS, WAITS, EndedWait, Presence, Publication, Record
from soak.plan import WAYS, source_name
from soak.sampling import Sample, sample
from soak.world import TRIGGERER, WRITER, World
from testbed.processes import TestbedError, wait_until

LOOKED_EVERY = 10.0  # seconds
TOLD_EVERY = 60.0
FILL_TIMEOUT = 180.0  # seconds until all triggers wait and all streams are open
WRITERS_GRACE = 120.0  # seconds after the end of the plan for what is overdue
STREAMS_GRACE = 120.0  # seconds to write down millions of positions
DRAIN_TIMEOUT = 120.0  # seconds after the last write until everybody has been told of it


class Soak:
    """Runs once.

    :param console: is told how it goes.
    """

    def __init__(self, world: World, console: Console) -> None:
        self._world = world
        self._console = console
        self._records: list[Record] = []
        self._samples: list[Sample] = []
        self._present: dict[str, Presence] = {}
        self._start = 0.0

    def run(self) -> Facts:
        """Do everything.

        :raises TestbedError: a process has ended that should not.
        """
        plan = self._world.plan
        self._fill()
        self._start = self._world.begin_to_write()
        accidents = Accidents(self._world, self._start, lambda text: self._console.event("accident", text))
        with accidents.happening():
            self._look_until(self._start + plan.seconds)
        if accidents.error is not None:
            raise accidents.error
        history = self._drain()
        return Facts(
            plan,
            self._start,
            self._records,
            accidents.happened,
            self._samples,
            history,
            json.loads(self._world.positions.read_text()),
            [str(each) for each in verify(self._world.postgres.url()).discrepancies],
        )

    def _fill(self) -> None:
        """Start what waits and follows."""
        wanted = {WAITS: self._world.plan.waits, STREAMS: self._world.plan.streams}
        for name in (STREAMS, TRIGGERER):
            self._world.children[name].start()
        wait_until(
            lambda: {what: each.present for what, each in self._read().items()} == wanted,
            what=f"{wanted[WAITS]:,} triggers to wait and {wanted[STREAMS]:,} streams to open",
            timeout=FILL_TIMEOUT,
            children=self._world.children.values(),
            detail=lambda: self._present,
        )
        self._console.event("soak", "all triggers wait, and all streams are open; the writers begin")

    def _look_until(self, end: float) -> None:
        told_at, told = time.monotonic(), 0
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(LOOKED_EVERY, left))
            self._read()
            with contextlib.suppress(psycopg2.Error):  # while it is restarted
                self._samples.append(sample(self._world.postgres, self._world.pids()))
            for name in (TRIGGERER, STREAMS):
                if not (child := self._world.children[name]).is_running:
                    raise TestbedError(f"{child.name} has ended\n{child.log_tail()}")
            if time.monotonic() - told_at >= TOLD_EVERY - 1:
                self._tell(self._records[told:])
                told_at, told = time.monotonic(), len(self._records)

    def _read(self) -> dict[str, Presence]:
        """Read what has been noted; returns how many are present now."""
        for reader in self._world.readers:
            for record in reader.new():
                self._records.append(record)
                if isinstance(record, Presence):
                    self._present[record.what] = record
        return self._present

    def _tell(self, recent: list[Record]) -> None:
        latencies = Facts(self._world.plan, self._start, recent, (), (), (), ()).latencies
        medians = [
            f"{name} {median(each.milliseconds for each in latencies[name]):.0f} ms"
            for name in sorted(latencies)
        ]
        memory = [
            f"{name} {usage.memory / 1e6:.0f}"
            for name, usage in (self._samples[-1].usage.items() if self._samples else ())
        ]
        counts = Counter(type(each) for each in recent)
        minute = (time.monotonic() - self._start) / 60
        streams = self._present[STREAMS]
        self._console.event(
            "soak",
            f"minute {minute:.0f} of {self._world.plan.minutes:g}: {counts[Publication]:,} published, "
            f"{counts[EndedWait]:,} waits ended, {self._present[WAITS].present:,} wait, "
            f"{streams.present:,} streams have received {streams.received:,} events",
        )
        self._console.quote(f"{', '.join(medians)}\nMB: {', '.join(memory)}")

    def _drain(self) -> list[HistoryLine]:
        """Wait until the writers are done, and then until everybody has been told; what is missing the verdict says."""
        world = self._world
        with contextlib.suppress(TestbedError):
            world.children[WRITER].wait_for_exit(WRITERS_GRACE)
        self._read()
        with open_store(world.postgres.url()) as store:
            history = history_of(store, world.after)
        published = sum(isinstance(each, Publication) for each in self._records)
        self._console.event("soak", f"the writers are done, {published:,} partitions are published")
        with contextlib.suppress(TestbedError):
            wait_until(
                partial(self._are_told, published, self._expected(history)),
                what="everybody to be told",
                timeout=DRAIN_TIMEOUT,
                interval=1.0,
            )
        for name in (STREAMS, TRIGGERER):
            world.children[name].stop(STREAMS_GRACE)
        self._read()
        return history

    def _are_told(self, published: int, expected: int) -> bool:
        self._read()
        ended = sum(isinstance(each, EndedWait) for each in self._records)
        return ended >= len(WAYS) * published and self._present[STREAMS].received >= expected

    def _expected(self, history: list[HistoryLine]) -> int:
        """How many events all streams together have to receive."""
        by_source = Counter(each.source_name for each in history)
        return sum(
            len(history) if following.source is None else by_source[source_name(following.source)]
            for following in self._world.plan.followings()
        )


def run(world: World, console: Console) -> Facts:
    """Run a soak in a world that is running."""
    return Soak(world, console).run()
