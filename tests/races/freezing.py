"""A writer that freezes after it has written an event and before it commits.

Run as a script, ``python -m tests.races.freezing URL SOURCE``: it locks a partition that is not registered, which is
two events, and stops itself after the first. The last event of a transaction is committed in its own message.
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


def main(url: str, source_name: str) -> None:
    with open_sql_store(url, pool_size=1, timeout=300) as store:
        has_stopped = False

        def stop(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            nonlocal has_stopped
            if "INSERT INTO partition_registry_event" in statement and not has_stopped:
                has_stopped = True
                print("written", flush=True)
                os.kill(os.getpid(), signal.SIGSTOP)

        event.listen(store.database.engine, "after_cursor_execute", stop)
        store.lock(PartitionKey(source_name, "p0", hours(0, 1)), register=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
