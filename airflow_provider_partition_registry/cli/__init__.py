"""The ``partition-registry`` command.

One module per group of commands; ``root`` puts them together. None of them imports SQLAlchemy, and none ever
Airflow: a command opens its store when it needs one, so help and mistyped calls answer at once.
"""

from __future__ import annotations


def main() -> None:
    """Run the command and end the process with one of the documented exit codes."""
    from airflow_provider_partition_registry.cli.root import root

    root.main(prog_name="partition-registry")
