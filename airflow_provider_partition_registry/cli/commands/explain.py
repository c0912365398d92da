"""``explain``: everything about why an interval may or may not be read."""

from __future__ import annotations

import sys

import click

from airflow_provider_partition_registry.cli.instants import interval_options
from airflow_provider_partition_registry.cli.options import Options, common_options
from airflow_provider_partition_registry.cli.output import show
from airflow_provider_partition_registry.domain.explanation import explain
from airflow_provider_partition_registry.domain.intervals import Interval, format_to_the_second
from airflow_provider_partition_registry.domain.models import Partition
from airflow_provider_partition_registry.domain.questions import Readiness


@click.command("explain")
@click.argument("source_name", metavar="SOURCE")
@interval_options
@common_options
@click.pass_obj
def explain_(options: Options, source_name: str, interval: Interval, as_json: bool) -> None:
    """Explain in full why an interval is or is not ready.

    Lists every gap and every blocking partition, with what each writer reported about itself: host, user, log. The exit
    code is 0 either way; use ready for an answer by exit code.
    """
    with options.open_existing_store() as store:
        readiness = store.check_readiness(source_name, interval)
    show(readiness, lambda: _full_explanation(readiness), as_json=as_json)


def _full_explanation(readiness: Readiness) -> str:
    lines = [explain(readiness, shown_at_most=sys.maxsize)]
    lines += [_about_lock(each) for each in readiness.blockers if each.lock is not None]
    return "\n".join(lines)


def _about_lock(partition: Partition) -> str:
    lock = partition.lock
    assert lock is not None
    about = {
        "holder": lock.holder.identity,
        "generation": str(lock.generation),
        "locked at": format_to_the_second(lock.locked_at),
        "lease until": format_to_the_second(lock.expires_at) if lock.expires_at else "without a lease",
        "exclusive": "yes" if lock.exclusive else "no",
        **lock.holder.details,
    }
    rows = [f"  {key}: {' '.join(value.split())}" for key, value in about.items()]
    return "\n".join([f"The lock on {partition.key}:", *rows])
