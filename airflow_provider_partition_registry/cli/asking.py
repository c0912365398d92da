"""Questions of readers: ``ready`` and ``status``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice

import click

from airflow_provider_partition_registry.cli.errors import ExitCode
from airflow_provider_partition_registry.cli.options import (
    InstantType,
    Settings,
    common_options,
    interval_options,
)
from airflow_provider_partition_registry.cli.output import show, table, to_the_second
from airflow_provider_partition_registry.domain.explanation import explain
from airflow_provider_partition_registry.domain.intervals import Interval, format_instant
from airflow_provider_partition_registry.domain.models import LOCKED_STATES, Partition, Readiness
from airflow_provider_partition_registry.store.paging import all_items

DEFAULT_LIMIT = 100
HEADINGS = ("FROM", "TO", "PROVIDER", "STATE", "SINCE", "GENERATION", "HOLDER", "LEASE UNTIL", "REASON")


@dataclass(frozen=True, slots=True)
class Status:
    """What ``status --json`` prints; ``is_complete`` is false if more partitions follow."""

    readiness: Readiness
    partitions: tuple[Partition, ...]
    is_complete: bool


@click.command(epilog="Exit codes: 0 ready, 1 not ready; the others as in partition-registry --help.")
@click.argument("source_name", metavar="SOURCE")
@interval_options
@click.option(
    "--published-after",
    type=InstantType(),
    metavar="INSTANT",
    help="Ask also that everything in it was published at this instant or later.",
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
    """Say whether an interval may be read, and if not, exactly why."""
    with _settings(context).open_store() as store:
        readiness = store.check_readiness(source_name, interval, published_after)
    show(readiness, lambda: explain(readiness), as_json=as_json)
    context.exit(ExitCode.DONE if readiness.is_ready else ExitCode.NO)


@click.command()
@click.argument("source_name", metavar="SOURCE")
@interval_options
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=DEFAULT_LIMIT,
    show_default=True,
    metavar="N",
    help="Show at most so many partitions.",
)
@common_options
@click.pass_obj
def status(settings: Settings, source_name: str, interval: Interval, limit: int, as_json: bool) -> None:
    """Show an interval's partitions: state, holder, lease, reason."""
    with settings.open_store() as store:
        # One more than is shown tells whether more follow.
        partitions = list(islice(all_items(partial(store.list_partitions, source_name, interval)), limit + 1))
        readiness = store.check_readiness(source_name, interval)
    found = Status(readiness, tuple(partitions[:limit]), len(partitions) <= limit)
    show(found, lambda: _status_text(found), as_json=as_json)


def _settings(context: click.Context) -> Settings:
    return context.ensure_object(Settings)


def _status_text(found: Status) -> str:
    lines = [
        table(HEADINGS, map(_row, found.partitions), empty=f"No partitions in {found.readiness.question}."),
        "" if found.is_complete else "... and more: raise --limit to see them.\n",
        explain(found.readiness),
    ]
    return "\n".join(lines)


def _row(partition: Partition) -> tuple[str | None, ...]:
    lock = partition.lock
    lease = to_the_second(lock.expires_at) if lock and partition.state in LOCKED_STATES else None
    return (
        format_instant(partition.start),
        format_instant(partition.end),
        partition.provider_name,
        partition.state.value,
        to_the_second(partition.changed_at),
        str(partition.generation),
        lock.holder.identity if lock else None,
        lease,
        partition.reason,
    )
