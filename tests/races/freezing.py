"""A writer that freezes, or dies, after it has written its event and before it commits.

Run as a script, ``python -m tests.races.freezing URL SOURCE SIGNAL``: it registers a partition and sends itself the
signal at that moment.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from sqlalchemy import event

from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store.sql.store import open_sql_store
from tests.contract.homes import hours


def main(url: str, source_name: str, signal_name: str) -> None:
    with open_sql_store(url, pool_size=1, timeout=300) as store:

        def stop(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if "INSERT INTO partition_registry_event" in statement:
                print("written", flush=True)
                os.kill(os.getpid(), signal.Signals[signal_name])

        event.listen(store.database.engine, "after_cursor_execute", stop)
        store.register_partition(PartitionKey(source_name, "p0", hours(0, 1)))


if __name__ == "__main__":
    main(*sys.argv[1:])
