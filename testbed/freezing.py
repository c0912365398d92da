"""A writer that freezes after it has written an event and before it commits.

Run as a script, ``python -m testbed.freezing URL SOURCE``. The store itself sends its events and the COMMIT in one
message, so that only the server can be so slow; here they are sent apart.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from airflow_provider_partition_registry.domain.models import EventType
from airflow_provider_partition_registry.store.sql.changes.claim import lock_source
from airflow_provider_partition_registry.store.sql.changes.history import Line, finish_with_events
from airflow_provider_partition_registry.store.sql.database.message import Message
from airflow_provider_partition_registry.store.sql.store import open_sql_store


@contextmanager
def freezing(url: str, source_name: str) -> Iterator[subprocess.Popen[str]]:
    """A process that is stopped while an event of it is written and not committed."""
    command = [sys.executable, "-m", "testbed.freezing", url, source_name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "written\n"
            yield process
        finally:
            process.kill()


def main(url: str, source_name: str) -> None:
    with (
        open_sql_store(url, pool_size=1, timeout=300) as store,
        store.database.engine.connect() as connection,
    ):
        connection.exec_driver_sql("BEGIN")
        source_id = lock_source(connection, source_name)
        line = Line(EventType.TOKEN_ROTATED, datetime.now(UTC), source_id)
        finish_with_events(Message(connection), [line], source_name)
        print("written", flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)
        finish_with_events(Message(connection), [line], source_name)
        connection.exec_driver_sql("COMMIT")


if __name__ == "__main__":
    main(*sys.argv[1:])
