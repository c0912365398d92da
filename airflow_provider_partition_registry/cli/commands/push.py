"""``push``: start runs of an Airflow that cannot have this package, for whatever becomes ready."""

from __future__ import annotations

from datetime import datetime, timedelta

import click

from airflow_provider_partition_registry.cli.events import grain_row
from airflow_provider_partition_registry.cli.following import LONGEST_PAUSE, Grains, follow
from airflow_provider_partition_registry.cli.instants import (
    GRAINS,
    DurationType,
    InstantType,
    given_timezone,
    timezone_option,
)
from airflow_provider_partition_registry.cli.options import Options, common_options
from airflow_provider_partition_registry.cli.output import as_json_text, printable
from airflow_provider_partition_registry.cli.pushing import airflow_options, open_destination, subscription_of
from airflow_provider_partition_registry.domain.grain_cursor import GrainCursor
from airflow_provider_partition_registry.store.contract import RegistryReader
from airflow_provider_partition_registry.store.finding import position_before


@click.command()
@click.argument("source_name", metavar="SOURCE")
@click.option("--grain", type=click.Choice(GRAINS), required=True, help="What becomes ready as a whole.")
@timezone_option
@airflow_options
@click.option(
    "--begin",
    type=InstantType(),
    help="Where a first push begins; by default now. Later ones go on where the former ones were.",
)
@click.option(
    "--poll-interval",
    type=DurationType(),
    default="2s",
    show_default=True,
    help="Ask the registry at least this often.",
)
@common_options
@click.pass_context
def push(
    context: click.Context,
    source_name: str,
    *,
    grain: str,
    airflow_url: str,
    asset_name: str,
    begin: datetime | None,
    poll_interval: timedelta,
    as_json: bool,
) -> None:
    """Start runs of an Airflow for whatever becomes ready.

    For each day (hour, ...) of SOURCE, an event of an asset is created there. It has the day as its partition key, so
    that DAGs that are scheduled by the asset's partitions run once for it, and once more when it was written again.
    Runs until it is interrupted. What was brought is told by the asset's own events, so that nothing is lost or
    repeated when it is started again; run it once per asset and SOURCE.
    """
    from airflow_provider_partition_registry.domain.grain_keys import key_of_grain

    options: Options = context.obj
    timezone = given_timezone(context)
    subscription = subscription_of(source_name, grain, timezone)
    with (
        options.open_existing_store(2) as store,
        open_destination(airflow_url, asset_name, subscription) as destination,
    ):
        reached = destination.reached() or GrainCursor(_first_position(store, source_name, begin))
        pause = min(poll_interval.total_seconds(), LONGEST_PAUSE)
        for each in follow(store, Grains(store, source_name, grain, timezone, reached), pause):
            destination.bring(each, key_of_grain(each.interval, grain, timezone))
            click.echo(as_json_text(each) if as_json else printable("  ".join(grain_row(each))))


def _first_position(store: RegistryReader, source_name: str, begin: datetime | None) -> int:
    return store.last_position() if begin is None else position_before(store, source_name, begin)
