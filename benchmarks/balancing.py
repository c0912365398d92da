"""What more instances of the service, behind a load balancer, answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

from airflow_provider_partition_registry.store.contract import RegistryReader
from benchmarks.at_once import measure
from benchmarks.measuring import Call
from benchmarks.report import Figure
from benchmarks.writing import PLAIN
from testbed.balancing import balanced
from testbed.service_process import ServiceProcess

CLIENTS = 8
INSTANCES = (1, 2, 4)


def figures(url: str) -> Iterator[Figure]:
    """All figures about instances, in a registry with the series of ``writing``."""
    of_one = 0.0
    with ExitStack() as stack:
        services: list[ServiceProcess] = []
        for number in INSTANCES:
            while len(services) < number:
                services.append(stack.enter_context(ServiceProcess(url, "--open", "--workers", "1")))
            with balanced([each.url for each in services]) as balancer:
                every = measure(balancer, CLIENTS, _ask).every
            of_one = of_one or every
            what = (
                f"one question, answered one every, to {CLIENTS} processes by {number} instances behind nginx"
            )
            yield Figure(what, every, 1, of_one if number > 1 else None, "one instance")


def _ask(store: RegistryReader, _number: int) -> Call:
    return lambda: store.check_readiness(PLAIN.source_name, PLAIN.interval(100, 24))
