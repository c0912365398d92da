"""``unlock``: publish a partition (R4)."""

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
def unlock(
    options: Options,
    key: PartitionKey,
    *,
    holder: str | None,
    generation: int | None,
    as_json: bool,
) -> None:
    """Publish a partition: its data is good and may be read."""
    with options.open_store() as store:
        published = store.unlock(key, holder=holder, generation=generation)
    show(published, lambda: f"Published {published.key}.", as_json=as_json)
