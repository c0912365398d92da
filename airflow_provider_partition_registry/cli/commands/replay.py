"""``replay``: start runs for days that are ready, once more or because Airflow dropped them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import click

from airflow_provider_partition_registry.cli.events import grain_row
from airflow_provider_partition_registry.cli.instants import (
    GRAINS,
    InstantType,
    given_timezone,
    timezone_option,
)
from airflow_provider_partition_registry.cli.options import Options, common_options
from airflow_provider_partition_registry.cli.output import as_json_text, printable
from airflow_provider_partition_registry.cli.pushing import airflow_options, open_destination, subscription_of
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import GrainEvent
from airflow_provider_partition_registry.domain.questions import Question, Readiness
from airflow_provider_partition_registry.store.contract import RegistryReader

MOST_GRAINS = 10_000


@click.command()
@click.argument("source_name", metavar="SOURCE")
@click.option("--from", "start", type=InstantType(), required=True, help="Start of the interval (inclusive).")
@click.option("--to", "end", type=InstantType(), required=True, help="End of the interval (exclusive).")
@click.option("--grain", type=click.Choice(GRAINS), required=True, help="What is replayed as a whole.")
@timezone_option
@airflow_options
@common_options
@click.pass_context
def replay(
    context: click.Context,
    source_name: str,
    *,
    start: datetime,
    end: datetime,
    grain: str,
    airflow_url: str,
    asset_name: str,
    as_json: bool,
) -> None:
    """Start runs of an Airflow for days that are ready now.

    For each whole day (hour, ...) of SOURCE in the interval, an event of an asset is created there.
    For runs that Airflow did not start, for example of a DAG that was paused or had another mapper then, and for runs
    that are to be repeated. What is not ready is left out.
    """
    from airflow_provider_partition_registry.domain.grain_keys import key_of_grain
    from airflow_provider_partition_registry.domain.grains import split_interval

    options: Options = context.obj
    timezone = given_timezone(context)
    grains = split_interval(Interval(start, end), grain, timezone, at_most=MOST_GRAINS)
    subscription = f"{subscription_of(source_name, grain, timezone)}/replay-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    with (
        options.open_existing_store() as store,
        open_destination(airflow_url, asset_name, subscription) as destination,
    ):
        for each in _ready_now(store, source_name, grains):
            destination.bring(each, key_of_grain(each.interval, grain, timezone))
            click.echo(as_json_text(each) if as_json else printable("  ".join(grain_row(each))))


def _ready_now(store: RegistryReader, source_name: str, grains: list[Interval]) -> Iterator[GrainEvent]:
    """Those of the grains that are ready, as of one moment (R2)."""
    now = datetime.now(UTC)
    answers = store.check_readiness_many([Question(source_name, each) for each in grains], explain=False)
    for place, (grain, answer) in enumerate(zip(grains, answers, strict=True), 1):
        if not isinstance(answer, Readiness):
            raise answer
        if answer.is_ready:
            yield GrainEvent(source_name, grain, answer.as_of, now, f"{place}")
