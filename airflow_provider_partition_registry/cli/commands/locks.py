"""``locks``: show who holds which locks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import click

from airflow_provider_partition_registry.cli.options import Options, common_options
from airflow_provider_partition_registry.cli.output import show, table, terminal_width
from airflow_provider_partition_registry.cli.partitions import HEADINGS, partition_rows
from airflow_provider_partition_registry.domain.models import Partition
from airflow_provider_partition_registry.store.paging import all_items


@click.command()
@click.option(
    "--holder-prefix",
    metavar="TEXT",
    help="Only locks whose holder starts with TEXT, for example those of one Airflow run.",
)
@common_options
@click.pass_obj
def locks(options: Options, holder_prefix: str | None, as_json: bool) -> None:
    """Show who holds which locks, across all sources.

    Expired locks are included. Times are UTC; GEN is the generation.
    """
    with options.open_existing_store() as store:
        found = list(all_items(partial(store.list_locks, holder_prefix)))
    show(found, lambda: _locks_text(found), as_json=as_json)


def _locks_text(found: Sequence[Partition]) -> str:
    rows = [(each.source_name, *row) for each, row in zip(found, partition_rows(found), strict=True)]
    return table(("SOURCE", *HEADINGS), rows, empty="No locks.", width=terminal_width())
