"""``release``: give a lock back after writing nothing (R4)."""

from __future__ import annotations

import click

from airflow_provider_partition_registry.cli.options import (
    Options,
    common_options,
    lock_options,
    partition_arguments,
)
from airflow_provider_partition_registry.cli.output import show
from airflow_provider_partition_registry.domain.models import PartitionKey


@click.command()
@partition_arguments
@lock_options
@common_options
@click.pass_obj
def release(
    options: Options,
    key: PartitionKey,
    *,
    holder: str | None,
    generation: int | None,
    as_json: bool,
) -> None:
    """Give a lock back: nothing was written.

    The partition is again what it was before the lock.
    """
    with options.open_store() as store:
        released = store.release(key, holder=holder, generation=generation)
    show(
        released,
        lambda: f"Released {released.key}; it is {released.state.value} again.",
        as_json=as_json,
    )
