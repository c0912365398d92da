"""``invalidate``: declare published data bad by hand (R6)."""

from __future__ import annotations

import click

from airflow_provider_partition_registry.cli.options import (
    Options,
    common_options,
    decision_options,
    partition_arguments,
)
from airflow_provider_partition_registry.cli.output import show
from airflow_provider_partition_registry.domain.models import PartitionKey


@click.command()
@partition_arguments
@decision_options
@common_options
@click.pass_obj
def invalidate(
    options: Options,
    key: PartitionKey,
    *,
    reason: str,
    by: str,
    as_json: bool,
) -> None:
    """Mark published data as bad: the partition becomes failed."""
    with options.open_store() as store:
        failed = store.invalidate(key, reason=reason, by=by)
    show(failed, lambda: f"Invalidated {failed.key}; it is failed now.", as_json=as_json)
