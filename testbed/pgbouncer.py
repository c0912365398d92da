"""A real PgBouncer: an installed one or, for root on Debian, one that apt-get installs.

``python -m testbed.pgbouncer`` makes sure that there is one; tests that find none fail and say so.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from testbed.debian import install
from testbed.postgres import UNPRIVILEGED_USER
from testbed.processes import Child, TestbedError, free_port, new_temporary_folder, wait_until

SETTINGS = """
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
max_client_conn = 500
{pooling}

[databases]
{databases}
"""


def find() -> str:
    """The path of a PgBouncer.

    :raises TestbedError: there is none.
    """
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")
    if found is None:
        raise TestbedError(
            "No PgBouncer here, which tests need. On Debian, as root: apt-get install pgbouncer."
        )
    return found


def ensure() -> str:
    """Install a PgBouncer if there is none and this is root on Debian; returns its path.

    :raises TestbedError: there is none and it cannot be installed.
    """
    try:
        return find()
    except TestbedError:
        if not install("pgbouncer"):
            raise
    return find()


@contextmanager
def pgbouncer(server_port: int, pooling: str) -> Iterator[int]:
    """Run one in front of a server on this machine; yields the port at which it serves all of the server's databases.

    :param server_port: that of the server.
    :param pooling: lines of its own section.
    """
    port = free_port()
    folder = new_temporary_folder("pgbouncer")
    settings = folder / "pgbouncer.ini"
    databases = f"* = host=127.0.0.1 port={server_port} user=postgres"
    settings.write_text(SETTINGS.format(port=port, pooling=pooling, databases=databases))
    user = UNPRIVILEGED_USER if os.geteuid() == 0 else None
    if user:
        for path in (folder, settings):
            shutil.chown(path, user)
    process = Child("PgBouncer", [find(), settings], folder / "pgbouncer.log", user=user)
    process.start()
    try:
        wait_until(
            lambda: _answers(port), what="PgBouncer to answer", timeout=30, children=[process], interval=0.02
        )
        yield port
    finally:
        process.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _answers(port: int) -> bool:
    import psycopg2

    try:
        psycopg2.connect(host="127.0.0.1", port=port, user="postgres", dbname="postgres").close()
    except psycopg2.OperationalError:
        return False
    return True


if __name__ == "__main__":
    ensure()
