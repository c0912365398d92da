"""Asks the registry again and again whether partitions are ready, and compares the answer with what is so."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from types import TracebackType
from typing import NamedTuple, Self

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.store.contract import RegistryReader
from tests.system.accidents.journal import Entry, Journal, is_half_written

SECONDS_BETWEEN_QUESTIONS = 0.1


class FalseReady(NamedTuple):
    """The registry said that data may be read while they were half-written.

    :param at: on the machine's monotonic clock (seconds)
    :param entries: what the work had told until then
    """

    at: float
    entries: list[Entry]

    def __str__(self) -> str:
        told = ", ".join(
            f"{entry.name} {entry.event} at {entry.at - self.at:+.1f} s" for entry in self.entries
        )
        return f"ready while half-written: {told}"


class Watch:
    """One partition under observation.

    :param work: the tasks whose good end makes the data complete
    :param work_on_others: tasks of the same journal that write other data only
    """

    def __init__(
        self,
        source_name: str,
        interval: Interval,
        journal: Journal,
        work: Collection[str],
        work_on_others: Collection[str] = (),
    ) -> None:
        self.source_name = source_name
        self.interval = interval
        self.questions = 0
        self.questions_while_half_written = 0
        self.false_ready: list[FalseReady] = []
        self._journal = journal
        self._work = work
        self._work_on_others = work_on_others

    def ask(self, registry: RegistryReader) -> None:
        """Ask once, and note an answer that is wrong."""
        before = self._journal.entries()
        is_ready = registry.check_readiness(self.source_name, self.interval).is_ready
        self.questions += 1
        # What was told meanwhile may have changed the truth between the answer and our look.
        is_half = is_half_written(before, self._work, self._work_on_others)
        if is_half and before == self._journal.entries():
            self.questions_while_half_written += 1
            if is_ready:
                self.false_ready.append(FalseReady(time.monotonic(), before))


class Watcher:
    """A thread that asks about all watched partitions, for the length of a ``with`` block."""

    def __init__(self, registry: RegistryReader) -> None:
        self._registry = registry
        self._watches: list[Watch] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._ask_again_and_again, name="watcher")
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()

    def watch(self, watch: Watch) -> None:
        self._watches.append(watch)

    def forget(self, watch: Watch) -> None:
        """Ask no more about a partition.

        :raise BaseException: what ended the watcher before its time
        """
        if self._error is not None:
            raise self._error
        self._watches.remove(watch)

    def _ask_again_and_again(self) -> None:
        try:
            while not self._ending.wait(SECONDS_BETWEEN_QUESTIONS):
                for watch in tuple(self._watches):
                    watch.ask(self._registry)
        except BaseException as error:
            self._error = error
