"""A real standby that follows a PostgreSQL server by streaming."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.postgres import UNPRIVILEGED_USER, PostgresServer, usable_programs
from testbed.processes import new_temporary_folder, run_as


def copy_of(primary: PostgresServer) -> Path:
    """The folder of a new standby of a server that is running."""
    folder = new_temporary_folder("standby")
    user = UNPRIVILEGED_USER if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    subprocess.run(
        [
            *(
                usable_programs(user) / "pg_basebackup",
                "--dbname",
                primary.url(),
                "--pgdata",
                folder / "data",
            ),
            *("--write-recovery-conf", "--checkpoint=fast", "--wal-method=stream", "--no-sync"),
        ],
        check=True,
        cwd=folder,
        **run_as(user),
    )
    return folder


@contextmanager
def serving(folder: Path, port: int | None = None) -> Iterator[PostgresServer]:
    """Run the server in a folder.

    :param port: where, by default on a free one.
    """
    server = PostgresServer(durable=False, folder=folder)
    server.port = port or server.port
    with server:
        yield server


def has_replayed(standby: PostgresServer, primary: PostgresServer) -> bool:
    """Whether the standby has everything that the primary has written."""
    ((written,),) = primary.execute("SELECT pg_current_wal_lsn()")
    ((replayed,),) = standby.execute(f"SELECT pg_last_wal_replay_lsn() >= '{written}'")
    return bool(replayed)
