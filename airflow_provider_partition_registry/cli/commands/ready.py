"""``ready``: say whether an interval may be read."""

from __future__ import annotations

from datetime import datetime

import click

from airflow_provider_partition_registry.cli.errors import ExitCode
from airflow_provider_partition_registry.cli.instants import InstantType, interval_options
from airflow_provider_partition_registry.cli.options import Options, common_options
from airflow_provider_partition_registry.cli.output import show
from airflow_provider_partition_registry.domain.explanation import explain
from airflow_provider_partition_registry.domain.intervals import Interval


@click.command(epilog="Exit codes: 0 ready, 1 not ready; others as in partition-registry --help.")
@click.argument("source_name", metavar="SOURCE")
@interval_options
@click.option(
    "--published-after",
    type=InstantType(),
    help="Require that all of the interval was published at or after this instant.",
)
@common_options
@click.pass_context
def ready(
    context: click.Context,
    source_name: str,
    interval: Interval,
    published_after: datetime | None,
    as_json: bool,
) -> None:
    """Say whether an interval is ready, and if not, exactly why."""
    with context.ensure_object(Options).open_existing_store() as store:
        readiness = store.check_readiness(source_name, interval, published_after)
    show(readiness, lambda: explain(readiness), as_json=as_json)
    context.exit(ExitCode.DONE if readiness.is_ready else ExitCode.NO)
