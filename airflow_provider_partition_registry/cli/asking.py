"""Questions of readers: ``ready``, ``explain``, ``status`` and ``locks``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice

import click

from airflow_provider_partition_registry.cli.errors import ExitCode
from airflow_provider_partition_registry.cli.instants import InstantType, interval_options
from airflow_provider_partition_registry.cli.options import Settings, common_options
from airflow_provider_partition_registry.cli.output import show, table, terminal_width, without_zeros
from airflow_provider_partition_registry.domain.explanation import explain
from airflow_provider_partition_registry.domain.intervals import Interval, format_to_the_second
from airflow_provider_partition_registry.domain.models import LOCKED_STATES, Partition
from airflow_provider_partition_registry.domain.questions import Readiness
from airflow_provider_partition_registry.store.paging import all_items

DEFAULT_LIMIT = 100
HEADINGS = ("START", "END", "PROVIDER", "STATE", "SINCE", "GEN", "DETAILS")


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
    with _settings(context).open_existing_store() as store:
        readiness = store.check_readiness(source_name, interval, published_after)
    show(readiness, lambda: explain(readiness), as_json=as_json)
    context.exit(ExitCode.DONE if readiness.is_ready else ExitCode.NO)


@click.command("explain")
@click.argument("source_name", metavar="SOURCE")
@interval_options
@common_options
@click.pass_obj
def explain_(settings: Settings, source_name: str, interval: Interval, as_json: bool) -> None:
    """Say all about why an interval may or may not be read.

    Every gap and every blocker, however many, and of each blocker what its writer said of itself: host, user, log.
    Ends with 0 either way; ready answers by exit code.
    """
    with settings.open_existing_store() as store:
        readiness = store.check_readiness(source_name, interval)
    show(readiness, lambda: _full_explanation(readiness), as_json=as_json)


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
    """Show an interval's partitions: state, holder, lease, reason.

    Times are UTC, GEN is the generation. On a terminal long details are shortened; elsewhere, and with --json, they
    are whole.
    """
    with settings.open_existing_store() as store:
        # One more than is shown tells whether more follow.
        partitions = list(islice(all_items(partial(store.list_partitions, source_name, interval)), limit + 1))
        readiness = store.check_readiness(source_name, interval)
    found = Status(readiness, tuple(partitions[:limit]), len(partitions) <= limit)
    show(found, lambda: _status_text(found), as_json=as_json)


@click.command()
@click.option(
    "--holder-prefix",
    metavar="TEXT",
    help="Only those whose holder begins with it: which locks does this run still hold?",
)
@common_options
@click.pass_obj
def locks(settings: Settings, holder_prefix: str | None, as_json: bool) -> None:
    """Show who holds which locks now, of all sources.

    Those that have expired are among them. Times are UTC, GEN is the generation.
    """
    with settings.open_existing_store() as store:
        found = list(all_items(partial(store.list_locks, holder_prefix)))
    show(found, lambda: _locks_text(found), as_json=as_json)


def _locks_text(found: Sequence[Partition]) -> str:
    rows = [(each.source_name, *row) for each, row in zip(found, _rows(found), strict=True)]
    return table(("SOURCE", *HEADINGS), rows, empty="No locks.", width=terminal_width())


def _settings(context: click.Context) -> Settings:
    return context.ensure_object(Settings)


def _full_explanation(readiness: Readiness) -> str:
    lines = [explain(readiness, shown_at_most=sys.maxsize)]
    lines += [_about_lock(each) for each in readiness.blockers if each.lock is not None]
    return "\n".join(lines)


def _about_lock(partition: Partition) -> str:
    lock = partition.lock
    assert lock is not None
    about = {
        "holder": lock.holder.identity,
        "generation": str(lock.generation),
        "locked at": format_to_the_second(lock.locked_at),
        "lease until": format_to_the_second(lock.expires_at) if lock.expires_at else "without a lease",
        "exclusive": "yes" if lock.exclusive else "no",
        **lock.holder.details,
    }
    rows = [f"  {key}: {' '.join(value.split())}" for key, value in about.items()]
    return "\n".join([f"The lock on {partition.key}:", *rows])


def _status_text(found: Status) -> str:
    rows = _rows(found.partitions)
    empty = f"No partitions in {found.readiness.question}."
    lines = [
        table(HEADINGS, rows, empty=empty, width=terminal_width()),
        "" if found.is_complete else "... and more: raise --limit to see them.\n",
        explain(found.readiness),
    ]
    return "\n".join(lines)


def _rows(partitions: Sequence[Partition]) -> list[tuple[str | None, ...]]:
    starts_and_ends = [each.start for each in partitions] + [each.end for each in partitions]
    texts = without_zeros(starts_and_ends)
    starts, ends = texts[: len(partitions)], texts[len(partitions) :]
    return [
        (
            start,
            end,
            each.provider_name,
            each.state.value,
            format_to_the_second(each.changed_at),
            str(each.generation),
            _details(each),
        )
        for each, start, end in zip(partitions, starts, ends, strict=True)
    ]


def _details(partition: Partition) -> str:
    """Why it failed, and who locked it until when."""
    details = [partition.reason] if partition.reason else []
    lock = partition.lock
    if lock:
        details.append(f"by {lock.holder}")
    if lock and lock.expires_at and partition.state in LOCKED_STATES:
        details.append(f"lease until {format_to_the_second(lock.expires_at)}")
    return "; ".join(details)
