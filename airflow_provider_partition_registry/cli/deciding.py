"""What a person decides for the providers (R6): ``force-release``, ``invalidate``, ``withdraw``."""

from __future__ import annotations

import click

from airflow_provider_partition_registry.cli.options import (
    Settings,
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
    help="What becomes of the partition; ready only if you know its data is good.",
)
@decision_options
@common_options
@click.pass_obj
def force_release(
    settings: Settings,
    key: PartitionKey,
    *,
    to_state: str,
    reason: str,
    by: str,
    as_json: bool,
) -> None:
    """Take a lock from a holder who is gone."""
    state = PartitionState(to_state)
    with settings.open_store() as store:
        released = store.force_release(key, reason=reason, by=by, to=state)
    show(released, lambda: f"Released {released.key}; it is {released.state.value} now.", as_json=as_json)


@click.command()
@partition_arguments
@decision_options
@common_options
@click.pass_obj
def invalidate(
    settings: Settings,
    key: PartitionKey,
    *,
    reason: str,
    by: str,
    as_json: bool,
) -> None:
    """Declare published data bad: the partition becomes failed."""
    with settings.open_store() as store:
        failed = store.invalidate(key, reason=reason, by=by)
    show(failed, lambda: f"Invalidated {failed.key}; it is failed now.", as_json=as_json)


@click.command()
@partition_arguments
@decision_options
@common_options
@click.pass_obj
def withdraw(
    settings: Settings,
    key: PartitionKey,
    *,
    reason: str,
    by: str,
    as_json: bool,
) -> None:
    """Take a partition out: it covers and blocks nothing any more."""
    with settings.open_store() as store:
        withdrawn = store.withdraw(key, reason=reason, by=by)
    show(withdrawn, lambda: f"Withdrew {withdrawn.key}; it is only registered now.", as_json=as_json)
