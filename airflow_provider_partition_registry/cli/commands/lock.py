"""``lock``: lock a partition before writing it (R3)."""

from __future__ import annotations

from datetime import timedelta

import click

from airflow_provider_partition_registry.cli.instants import DurationType
from airflow_provider_partition_registry.cli.options import (
    Options,
    about_us,
    common_options,
    partition_arguments,
)
from airflow_provider_partition_registry.cli.output import show
from airflow_provider_partition_registry.domain.intervals import format_to_the_second
from airflow_provider_partition_registry.domain.models import Holder, Partition, PartitionKey

EXAMPLE_LOCK = """\b
Examples:
  partition-registry lock sales nightly-load --start 2026-11-01 --end 2026-11-02
  partition-registry lock sales nightly-load --start 2026-11-01 --end 2026-11-02 --holder "$HOSTNAME" --lease 2h
"""


@click.command(epilog=EXAMPLE_LOCK)
@partition_arguments
@click.option("--holder", metavar="IDENTITY", help="Identity of the writer; by default the provider's name.")
@click.option(
    "--lease",
    type=DurationType(),
    help="After this long others may take the lock over: 90s, 15m, 2h, 1d, 1h30m. By default never.",
)
@click.option(
    "--exclusive", is_flag=True, help="Lock out all other providers of the source for this interval."
)
@click.option(
    "--register/--no-register",
    default=True,
    show_default=True,
    help="Register the partition first if it is unknown.",
)
@common_options
@click.pass_obj
def lock(
    options: Options,
    key: PartitionKey,
    *,
    holder: str | None,
    lease: timedelta | None,
    exclusive: bool,
    register: bool,
    as_json: bool,
) -> None:
    """Lock a partition before (re)writing it; readers wait."""
    writer = Holder(key.provider_name if holder is None else holder, about_us())
    with options.open_store() as store:
        locked = store.lock(
            key,
            holder=writer,
            lease=lease,
            exclusive=exclusive,
            register=register,
        )
    show(locked, lambda: _locked_text(locked), as_json=as_json)


def _locked_text(partition: Partition) -> str:
    if partition.lock is None:  # pragma: no cover - a partition that was just locked has a lock
        return f"Locked {partition.key}."
    expires_at = partition.lock.expires_at
    lease = f"lease until {format_to_the_second(expires_at)}" if expires_at else "without a lease"
    lock = f"holder {partition.lock.holder}, generation {partition.generation}, {lease}"
    return f"Locked {partition.key}: {lock}."
