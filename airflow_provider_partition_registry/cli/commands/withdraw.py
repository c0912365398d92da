"""``withdraw``: take a partition back to registered by hand (R6)."""

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
def withdraw(
    options: Options,
    key: PartitionKey,
    *,
    reason: str,
    by: str,
    as_json: bool,
) -> None:
    """Withdraw a partition: it no longer covers or blocks anything."""
    with options.open_store() as store:
        withdrawn = store.withdraw(key, reason=reason, by=by)
    show(withdrawn, lambda: f"Withdrew {withdrawn.key}; it is only registered now.", as_json=as_json)
