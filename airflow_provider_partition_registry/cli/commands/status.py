"""``status``: show the partitions of an interval."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import islice

import click

from airflow_provider_partition_registry.cli.instants import interval_options
from airflow_provider_partition_registry.cli.options import Options, common_options
from airflow_provider_partition_registry.cli.output import show, table, terminal_width
from airflow_provider_partition_registry.cli.partitions import HEADINGS, partition_rows
from airflow_provider_partition_registry.domain.explanation import explain
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import Partition
from airflow_provider_partition_registry.domain.questions import Readiness
from airflow_provider_partition_registry.store.paging import all_items

DEFAULT_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Status:
    """What ``status --json`` prints; ``is_complete`` is false if more partitions follow."""

    readiness: Readiness
    partitions: tuple[Partition, ...]
    is_complete: bool


@click.command()
@click.argument("source_name", metavar="SOURCE")
@interval_options
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=DEFAULT_LIMIT,
    show_default=True,
    metavar="N",
    help="Show at most N partitions.",
)
@common_options
@click.pass_obj
def status(options: Options, source_name: str, interval: Interval, limit: int, as_json: bool) -> None:
    """Show an interval's partitions: state, holder, lease, reason.

    Times are UTC; GEN is the generation. Long details are shortened on a terminal, and complete in a pipe and with
    --json.
    """
    with options.open_existing_store() as store:
        # One partition more than is shown is read, to see whether more follow.
        partitions = list(islice(all_items(partial(store.list_partitions, source_name, interval)), limit + 1))
        readiness = store.check_readiness(source_name, interval)
    found = Status(readiness, tuple(partitions[:limit]), len(partitions) <= limit)
    show(found, lambda: _status_text(found), as_json=as_json)


def _status_text(found: Status) -> str:
    rows = partition_rows(found.partitions)
    empty = f"No partitions in {found.readiness.question}."
    lines = [
        table(HEADINGS, rows, empty=empty, width=terminal_width()),
        "" if found.is_complete else "... and more: raise --limit to see them.\n",
        explain(found.readiness),
    ]
    return "\n".join(lines)
