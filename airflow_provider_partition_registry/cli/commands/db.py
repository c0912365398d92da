"""Work on a registry's database: ``db upgrade``, ``current``, ``verify``, ``backup``, ``restored`` and ``prune``."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

import click

from airflow_provider_partition_registry.cli.errors import ExitCode
from airflow_provider_partition_registry.cli.instants import InstantType, timezone_option
from airflow_provider_partition_registry.cli.options import Options, common_options
from airflow_provider_partition_registry.cli.output import show, tell
from airflow_provider_partition_registry.domain.intervals import format_to_the_second
from airflow_provider_partition_registry.store import maintenance
from airflow_provider_partition_registry.store.maintenance import Pruned, Schema, Verification

TOLD_EVERY = 5.0  # seconds


@click.group(no_args_is_help=False)
def db() -> None:
    """Create, upgrade, verify, back up or prune a registry's tables.

    These commands work on the database itself, never through a web service: --url is postgresql://... or sqlite:///...
    """


@db.command()
@click.option(
    "--finish",
    "finishes",
    is_flag=True,
    help="Do also what processes of former versions could not work with; run it when none is left.",
)
@common_options
@click.pass_obj
def upgrade(options: Options, finishes: bool, as_json: bool) -> None:
    """Create the tables, or bring them up to date."""
    reached = maintenance.upgrade(options.require_url(), finishes=finishes)
    show(reached, lambda: _schema_text(reached), as_json=as_json)


@db.command()
@common_options
@click.pass_obj
def current(options: Options, as_json: bool) -> None:
    """Print the revision of the schema; the exit code is 7 unless it is the one that this version needs."""
    found = maintenance.current(options.require_url())
    show(found, lambda: found.revision, as_json=as_json)


@db.command(epilog="Exit codes: 0 all is well, 1 something is wrong; others as in partition-registry --help.")
@click.option(
    "--repair",
    "repairs",
    is_flag=True,
    help="Recompute derived rows that are wrong. Writers of a source wait while it is repaired.",
)
@click.option(
    "--known-lost",
    metavar="EVENTS",
    type=click.IntRange(min=0),
    default=0,
    help="This many events are known to be lost from the history; only a greater loss counts as wrong.",
)
@common_options
@click.pass_context
def verify(context: click.Context, repairs: bool, known_lost: int, as_json: bool) -> None:
    """Check that all rows are readable and consistent. Safe to run beside readers and writers."""
    url = context.ensure_object(Options).require_url()
    found = maintenance.verify(url, repairs=repairs, known_lost=known_lost)
    show(found, lambda: _verification_text(found, repairs), as_json=as_json)
    context.exit(ExitCode.NO if found.discrepancies else ExitCode.DONE)


@db.command(
    epilog="A registry in PostgreSQL is backed up by pg_dump, see docs/how-to/backup-and-restore.md. "
    "Exit codes: 0 done, 2 FILE exists or this is no SQLite registry, 7 it cannot be written."
)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--overwrite", is_flag=True, help="Replace FILE if it is there.")
@common_options
@click.pass_obj
def backup(options: Options, file: Path, overwrite: bool, as_json: bool) -> None:
    """Copy a registry in SQLite into FILE, as of one moment. Safe to run beside readers and writers.

    FILE appears only when it is complete, checked and flushed to disk. Do not copy the registry's own file instead: the
    newest changes may not be in it yet.
    """
    made = maintenance.back_up(options.require_url(), file, overwrite=overwrite)
    show(
        made,
        lambda: f"The registry in {made.database} is backed up in {made.file} ({made.bytes:,} bytes).",
        as_json=as_json,
    )


@db.command()
@common_options
@click.pass_obj
def restored(options: Options, as_json: bool) -> None:
    """Say that the registry was restored from a backup, if nothing else shows it.

    Positions that were given out before then are no places in its history any more. A restored pg_dump, db backup or
    archive of PostgreSQL is noticed without this; a snapshot of a disk, a file copied over the other one, and a backup
    of a schema before 0007 are not.
    """
    found = maintenance.note_restoration(options.require_url())
    show(
        found,
        lambda: (
            f"The history of the registry in {found.database} goes on after position {found.goes_on_after}."
        ),
        as_json=as_json,
    )


@db.command()
@click.option(
    "--before",
    type=InstantType(),
    required=True,
    help="Only what happened before this instant is removed, such as 2026-01-01 or -400d.",
)
@timezone_option
@click.option("--dry-run", "is_trial", is_flag=True, help="Only tell what would be removed.")
@common_options
@click.pass_obj
def prune(options: Options, before: datetime, is_trial: bool, as_json: bool) -> None:
    """Remove old history, and superseded partitions, that nobody can still ask for.

    What is the case now never changes: each partition keeps its last event, and a partition is removed only if others
    that were published later cover all of it. Who follows the history from before what was removed gets an error. Safe
    to run beside readers and writers, and to be interrupted and repeated.
    """
    told_at = time.monotonic()
    for found in maintenance.prune(options.require_url(), before, is_trial=is_trial):
        if found.source_name is not None and time.monotonic() - told_at > TOLD_EVERY:
            told_at = time.monotonic()
            tell(f"At source {found.source_name!r}: {_pruned_text(found)}")
    show(found, lambda: _pruned_text(found), as_json=as_json)


def _pruned_text(found: Pruned) -> str:
    verb = "would be" if found.is_trial else "were"
    return (
        f"{found.event_count:,} events and {found.partition_count:,} partitions from before "
        f"{format_to_the_second(found.before)} {verb} removed from the registry in {found.database}."
    )


def _schema_text(reached: Schema) -> str:
    text = f"The registry in {reached.database} is at schema {reached.revision}."
    if reached.is_finished:
        return text
    return (
        f"{text}\nProcesses of former versions that are running may go on. When none is left: partition-registry db "
        f"upgrade --finish"
    )


def _verification_text(found: Verification, repairs: bool) -> str:
    lines = [f"Repaired: {each.description}" for each in found.repaired]
    lines += [f"Known: {each.description}" for each in found.known]
    lines += [f"Wrong: {each.description}" for each in found.discrepancies]
    if not found.discrepancies:
        apart = "Apart from that, the" if found.known else "The"
        lines.append(f"{apart} registry in {found.database} is sound.")
    elif not repairs and any(each.is_repairable for each in found.discrepancies):
        lines.append("Repair what can be recomputed with: partition-registry db verify --repair")
    lost = sum(each.count for each in found.discrepancies if each.is_history_gap)
    if lost:
        lines.append(
            "Only a backup restores lost events. Readers that follow the history, or ask what changed since, have "
            "missed them and must read everything again. After that, accept the loss with: "
            f"partition-registry db verify --known-lost {lost}"
        )
    if not all(each.is_repairable or each.is_history_gap for each in found.discrepancies):
        lines.append("What cannot be recomputed needs a person, or a backup.")
    return "\n".join(lines)
