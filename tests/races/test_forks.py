"""A process that forks while it has a registry open: nothing acknowledged is lost, and nothing is shared."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from airflow_provider_partition_registry.store.factory import open_store
from tests.contract.homes import hours

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # from Python 3.12 on

A_LOOK_FROM_OUTSIDE = """
import sys
from airflow_provider_partition_registry.store.factory import open_store
from tests.contract.homes import hours
with open_store(sys.argv[1]) as store:
    print(store.check_readiness("s", hours(0, 1)).is_ready)
"""


class Child:
    """A forked process that takes one step each time it is told to."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self._orders, orders = os.pipe()[::-1]
        self._done, done = os.pipe()
        self.id = os.fork()
        if self.id == 0:
            try:
                for step in steps:
                    os.read(orders, 1)
                    step()
                    os.write(done, b".")
            finally:
                os._exit(0)
        os.close(done)

    def step(self) -> None:
        os.write(self._orders, b".")
        assert os.read(self._done, 1) == b".", "the child could not do it"

    def end(self) -> None:
        os.waitpid(self.id, 0)
        os.close(self._orders)
        os.close(self._done)


def seen_from_outside(url: str) -> bool:
    command = [sys.executable, "-c", A_LOOK_FROM_OUTSIDE, url]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout == "True\n"


def test_a_lock_taken_in_a_child_outlasts_everybody(database_url: str) -> None:
    store = open_store(database_url, timeout=30)
    store.register_provider("p", store.register_source("s", "ann").access_token)
    store.lock("s", "p", hours(0, 1), register=True)
    store.unlock("s", "p", hours(0, 1))

    child = Child(lambda: store.get_source("s"), lambda: store.lock("s", "p", hours(0, 1)))
    store.close()
    child.step()
    assert seen_from_outside(database_url)
    child.step()
    assert not seen_from_outside(database_url)
    child.end()
    assert not seen_from_outside(database_url)


def test_parent_and_child_work_at_the_same_time(database_url: str) -> None:
    store = open_store(database_url, timeout=30)
    store.register_provider("p", store.register_source("s", "ann").access_token)
    child = Child(lambda: [store.lock("s", "p", hours(n, n + 1), register=True) for n in range(0, 40, 2)])
    os.write(child._orders, b".")
    for number in range(1, 41, 2):
        store.lock("s", "p", hours(number, number + 1), register=True)
    assert os.read(child._done, 1) == b"."
    child.end()
    assert len(store.list_partitions("s").items) == 40
    store.close()
