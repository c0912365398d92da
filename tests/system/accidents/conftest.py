"""Plays all accidents that are asked for at the same time, each on days of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from airflow_provider_partition_registry.store.contract import RegistryStore
from testbed.airflow import AirflowInstance
from testbed.proxy import LosingProxy
from tests.system.accidents.judging import Verdict, perform
from tests.system.accidents.scenario import VERSIONS, Play
from tests.system.accidents.watcher import Watcher

AT_ONCE = 6
"""How many are played at the same time on one instance: each waits most of the time for Airflow."""

_verdicts = pytest.StashKey[list[Verdict]]()


@pytest.fixture(scope="session")
def verdicts(
    request: pytest.FixtureRequest,
    instances: Mapping[int, AirflowInstance],
    networks: Mapping[int, LosingProxy],
    registry: RegistryStore,
) -> Iterator[Mapping[Play, Future[Verdict]]]:
    """What came of each accident that the tests of this run ask for."""
    plays: list[Any] = [
        item.callspec.params["play"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and "verdicts" in item.fixturenames
    ]
    pools = {version: ThreadPoolExecutor(AT_ONCE) for version in VERSIONS}
    with Watcher(registry) as watcher:
        started = {
            each: pools[each.version].submit(
                perform, each, instances[each.version], registry, networks[each.version], watcher
            )
            for each in plays
        }
        yield started
        for pool in pools.values():
            pool.shutdown(cancel_futures=True)
    request.config.stash[_verdicts] = [
        future.result() for future in started.values() if not future.cancelled() and not future.exception()
    ]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print what came of each accident, in each form, on each version."""
    verdicts = config.stash.get(_verdicts, [])
    if not verdicts:
        return
    width = max(len(each.play.accident.name) for each in verdicts)
    terminalreporter.section("accidents")
    for each in verdicts:
        name, form, version = each.play.accident.name, each.play.form, each.play.version
        terminalreporter.write_line(f"{name:{width}}  {form:8}  {version}  {each}  ({each.seconds:.0f} s)")
