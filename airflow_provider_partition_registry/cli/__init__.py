"""The ``partition-registry`` command.

One module per group of commands; ``root`` puts them together. None of them imports SQLAlchemy, and none ever
Airflow: a command opens its store when it needs one, so help and mistyped calls answer at once.
"""

from __future__ import annotations


def main() -> None:
    """Run the command and end the process with one of the documented exit codes."""
    from airflow_provider_partition_registry.cli.root import root

    _end_when_told_to()
    root.main(prog_name="partition-registry")


def _end_when_told_to() -> None:
    """The first process of a container is spared by signals that it does not handle, and would be waited for."""
    import os
    import signal
    import sys

    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, lambda signum, _frame: sys.exit(128 + signum))
