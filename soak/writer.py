"""The writers: one thread for each source, which locks and unlocks its next partition whenever that is due.

``python -m soak.writer PLAN JOURNAL START``, with where the registry is in the environment. It ends when all that was
planned is published.
"""

from __future__ import annotations

import itertools
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from airflow_provider_partition_registry.domain.errors import RegistryError, StoreUnavailableError
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.factory import open_store
from soak.journal import Journal, Publication, Surprise
from soak.plan import DATABASE, SERVICE, Plan, key_of, source_name, way_of_writer

T = TypeVar("T")

CONNECTIONS = 6  # each way; some are held while a writer is frozen
LONGEST_PAUSE = 1.0  # seconds before a call that got no answer is repeated
DATABASE_URL, SERVICE_URL, TOKEN = "SOAK_DATABASE_URL", "SOAK_SERVICE_URL", "SOAK_TOKEN"


class Writer:
    """The only writer of its source.

    :param start: when the plan begins.
    """

    def __init__(self, plan: Plan, store: RegistryStore, source: int, start: float, journal: Journal) -> None:
        self._plan = plan
        self._store = store
        self._source = source
        self._start = start
        self._journal = journal
        self._repeats = 0

    def run(self) -> None:
        """Write what is planned; what is overdue without a pause."""
        try:
            for number in itertools.count():
                due = self._plan.due(self._source, number)
                if due >= self._plan.seconds:
                    return
                time.sleep(max(0.0, self._start + due - time.monotonic()))
                self._journal.note(self._publish(number))
        except RegistryError as error:
            self._journal.note(Surprise(f"the writer of {source_name(self._source)}", str(error)))

    def _publish(self, number: int) -> Publication:
        """Publish a partition. A call whose outcome is unknown, as it got no answer, is safe to repeat (R3, R4)."""
        key, self._repeats = key_of(self._source, number), 0
        lock_sent = time.monotonic()
        lock = self._until_answered(
            lambda: self._store.lock(key, holder=f"{key.source_name}/{number}", register=True)
        )
        unlock_sent = time.monotonic()
        self._until_answered(lambda: self._store.unlock(key, generation=lock.generation))
        return Publication(
            self._source, number, lock.generation, lock_sent, unlock_sent, time.monotonic(), self._repeats
        )

    def _until_answered(self, call: Callable[[], T]) -> T:
        while True:
            try:
                return call()
            except StoreUnavailableError:
                self._repeats += 1
                time.sleep(random.uniform(0, LONGEST_PAUSE))


def main(plan: Plan, journal: Journal, start: float) -> None:
    """Write what is planned."""
    with ExitStack() as at_end:
        stores = {
            DATABASE: open_store(os.environ[DATABASE_URL], pool_size=CONNECTIONS),
            SERVICE: open_store(
                os.environ[SERVICE_URL], pool_size=CONNECTIONS, access_token=os.environ[TOKEN]
            ),
        }
        for store in stores.values():
            at_end.enter_context(store)
        writers = [
            Writer(plan, stores[way_of_writer(source)], source, start, journal)
            for source in range(plan.sources)
        ]
        threads = [threading.Thread(target=each.run, daemon=True) for each in writers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main(Plan.from_json(sys.argv[1]), Journal(Path(sys.argv[2])), float(sys.argv[3]))
