"""``fail``: mark a write as failed (R4)."""

from __future__ import annotations

import click

from airflow_provider_partition_registry.cli.options import (
    Options,
    common_options,
    lock_options,
    partition_arguments,
)
from airflow_provider_partition_registry.cli.output import printable, show
from airflow_provider_partition_registry.domain.models import PartitionKey


@click.command()
@partition_arguments
@click.option("--reason", metavar="TEXT", required=True, help="What went wrong; waiting readers are told.")
@lock_options
@common_options
@click.pass_obj
def fail(
    options: Options,
    key: PartitionKey,
    *,
    reason: str,
    holder: str | None,
    generation: int | None,
    as_json: bool,
) -> None:
    """Mark a write as failed; readers keep waiting."""
    with options.open_store() as store:
        failed = store.fail(key, reason=reason, holder=holder, generation=generation)
    show(failed, lambda: f"Failed {failed.key}: {printable(failed.reason or '')}", as_json=as_json)
