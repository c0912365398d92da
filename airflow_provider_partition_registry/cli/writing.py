"""What a provider does around its write: ``lock``, ``unlock``, ``fail`` and ``release``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import update_wrapper
from typing import Any, TypeVar

import click

from airflow_provider_partition_registry.cli.instants import DurationType
from airflow_provider_partition_registry.cli.options import (
    Settings,
    about_us,
    common_options,
    partition_arguments,
)
from airflow_provider_partition_registry.cli.output import printable, show
from airflow_provider_partition_registry.domain.intervals import format_to_the_second
from airflow_provider_partition_registry.domain.models import Holder, Partition, PartitionKey

Function = TypeVar("Function", bound=Callable[..., object])

EXAMPLE_LOCK = """\b
Examples:
  partition-registry lock sales nightly-load --start 2026-11-01 --end 2026-11-02
  partition-registry lock sales nightly-load --start 2026-11-01 --end 2026-11-02 --holder "$HOSTNAME" --lease 2h
"""


def _lock_options(function: Function) -> Function:
    """Add the options that say whose lock it is, of which a call takes one."""

    def with_one(*args: Any, holder: str | None, generation: int | None, **values: Any) -> Any:
        if holder is not None and generation is not None:
            raise click.UsageError("Give --holder or --generation, not both")
        return function(*args, holder=holder, generation=generation, **values)

    command = update_wrapper(with_one, function)
    holder = click.option(
        "--holder",
        metavar="IDENTITY",
        help="As given to lock; the provider itself unless told.",
    )
    generation = click.option(
        "--generation",
        type=click.IntRange(min=0),
        metavar="N",
        help="The number that lock printed; instead of a holder.",
    )
    return generation(holder(command))  # type: ignore[return-value]


@click.command(epilog=EXAMPLE_LOCK)
@partition_arguments
@click.option("--holder", metavar="IDENTITY", help="Who writes; the provider itself unless told.")
@click.option(
    "--lease",
    type=DurationType(),
    metavar="DURATION",
    help="After so long others may take the lock over: 90s, 15m, 2h, 1d, 1h30m.",
)
@click.option("--exclusive", is_flag=True, help="Keep all providers of the source out of the interval.")
@click.option(
    "--register/--no-register",
    default=True,
    show_default=True,
    help="Register the partition if it is not known.",
)
@common_options
@click.pass_obj
def lock(
    settings: Settings,
    key: PartitionKey,
    *,
    holder: str | None,
    lease: timedelta | None,
    exclusive: bool,
    register: bool,
    as_json: bool,
) -> None:
    """Take the lock before (re)writing a partition; readers wait."""
    writer = Holder(key.provider_name if holder is None else holder, about_us())
    with settings.open_store() as store:
        locked = store.lock(
            key,
            holder=writer,
            lease=lease,
            exclusive=exclusive,
            register=register,
        )
    show(locked, lambda: _locked_text(locked), as_json=as_json)


@click.command()
@partition_arguments
@_lock_options
@common_options
@click.pass_obj
def unlock(
    settings: Settings,
    key: PartitionKey,
    *,
    holder: str | None,
    generation: int | None,
    as_json: bool,
) -> None:
    """Publish a partition: the data is good, readers may go on."""
    with settings.open_store() as store:
        published = store.unlock(key, holder=holder, generation=generation)
    show(published, lambda: f"Published {published.key}.", as_json=as_json)


@click.command()
@partition_arguments
@click.option("--reason", metavar="TEXT", required=True, help="What went wrong, for those who wait.")
@_lock_options
@common_options
@click.pass_obj
def fail(
    settings: Settings,
    key: PartitionKey,
    *,
    reason: str,
    holder: str | None,
    generation: int | None,
    as_json: bool,
) -> None:
    """End a write that went wrong; readers go on waiting."""
    with settings.open_store() as store:
        failed = store.fail(key, reason=reason, holder=holder, generation=generation)
    show(failed, lambda: f"Failed {failed.key}: {printable(failed.reason or '')}", as_json=as_json)


@click.command()
@partition_arguments
@_lock_options
@common_options
@click.pass_obj
def release(
    settings: Settings,
    key: PartitionKey,
    *,
    holder: str | None,
    generation: int | None,
    as_json: bool,
) -> None:
    """Give a lock back: nothing was written, all is as before."""
    with settings.open_store() as store:
        released = store.release(key, holder=holder, generation=generation)
    show(
        released,
        lambda: f"Released {released.key}; it is {released.state.value} again.",
        as_json=as_json,
    )


def _locked_text(partition: Partition) -> str:
    if partition.lock is None:  # pragma: no cover - a lock that was granted is there
        return f"Locked {partition.key}."
    expires_at = partition.lock.expires_at
    lease = f"lease until {format_to_the_second(expires_at)}" if expires_at else "without a lease"
    lock = f"holder {partition.lock.holder}, generation {partition.generation}, {lease}"
    return f"Locked {partition.key}: {lock}."
