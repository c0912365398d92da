"""``force-release``: take a lock away by hand (R6)."""

from __future__ import annotations

import click

from airflow_provider_partition_registry.cli.options import (
    Options,
    common_options,
    decision_options,
    partition_arguments,
)
from airflow_provider_partition_registry.cli.output import show
from airflow_provider_partition_registry.domain.models import PartitionKey, PartitionState

RELEASES = (PartitionState.FAILED.value, PartitionState.READY.value)


@click.command("force-release")
@partition_arguments
@click.option(
    "--to-state",
    type=click.Choice(RELEASES),
    default=RELEASES[0],
    show_default=True,
    help="New state of the partition; choose ready only if you know that its data is good.",
)
@decision_options
@common_options
@click.pass_obj
def force_release(
    options: Options,
    key: PartitionKey,
    *,
    to_state: str,
    reason: str,
    by: str,
    as_json: bool,
) -> None:
    """Take a lock away from a holder that is gone."""
    state = PartitionState(to_state)
    with options.open_store() as store:
        released = store.force_release(key, reason=reason, by=by, to=state)
    show(released, lambda: f"Released {released.key}; it is {released.state.value} now.", as_json=as_json)
