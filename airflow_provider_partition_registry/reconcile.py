"""The ``partition-registry-reconcile`` command.

It asks Airflow's own database, so it runs wherever a scheduler or an API server could. It is not part of
``partition-registry``, which needs no Airflow.
"""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stdout
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from airflow_provider_partition_registry.cli.ending import DocumentedEndings
from airflow_provider_partition_registry.cli.errors import EXIT_CODES, ExitCode
from airflow_provider_partition_registry.cli.output import show
from airflow_provider_partition_registry.runtime.settings import DEFAULT_CONN_ID

_CODES = (ExitCode.DONE, ExitCode.BAD_INPUT, ExitCode.ACCESS_DENIED, ExitCode.UNAVAILABLE, ExitCode.BUG)
_EPILOG = "\b\nExit codes:\n" + "\n".join(f"  {code.value:>3}  {EXIT_CODES[code]}" for code in _CODES)

if TYPE_CHECKING:
    from airflow_provider_partition_registry.runtime.reconciliation import Reconciliation


class _Command(DocumentedEndings, click.Command):
    """A command by itself."""


@click.command(
    cls=_Command,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option(
    "--conn-id", default=DEFAULT_CONN_ID, show_default=True, help="The registry's Airflow connection."
)
@click.option("--dry-run", is_flag=True, help="Only say which locks would be ended.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(conn_id: str, dry_run: bool, as_json: bool) -> int:
    """End the locks of this Airflow that no task will end.

    They are those whose run is over or deleted, or whose task died. Their partitions become failed. Run it where this
    Airflow's own database and its connections can be reached, such as on the scheduler's host.
    """
    if find_spec("airflow") is None:
        raise click.UsageError("There is no Airflow here; this command asks its database.")
    with redirect_stdout(sys.stderr):  # Airflow writes its log to standard output
        found = _reconcile(conn_id, dry_run=dry_run)
    show(found.as_result(), lambda: str(found), as_json=as_json)
    return ExitCode.ACCESS_DENIED if found.refused else ExitCode.DONE


def _reconcile(conn_id: str, *, dry_run: bool) -> Reconciliation:
    # As Airflow's own commands do, so that connections in its database are found as well.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    from airflow_provider_partition_registry.hooks.partition_registry import PartitionRegistryHook
    from airflow_provider_partition_registry.runtime.connections import RegistryConnectionNotFoundError
    from airflow_provider_partition_registry.runtime.identity import own_name
    from airflow_provider_partition_registry.runtime.reconciliation import reconcile
    from airflow_provider_partition_registry.runtime.states import ask_database

    try:
        settings = PartitionRegistryHook(conn_id).settings
    except RegistryConnectionNotFoundError as error:
        raise click.UsageError(str(error)) from error
    instance = own_name(settings.instance, conn_id)
    with settings.open() as store:
        return reconcile(store, instance, ask_database, dry_run=dry_run)


def main() -> None:
    """Run the command and end the process."""
    command.main(prog_name="partition-registry-reconcile")
