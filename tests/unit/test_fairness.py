"""A fair semaphore: nobody overtakes, callers that gave up are not in the way, and no admission is lost."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

from airflow_provider_partition_registry.store.http.fairness import FairSemaphore
from testbed.processes import wait_until


def in_threads(*calls: Callable[[], object]) -> list[threading.Thread]:
    threads = [threading.Thread(target=each) for each in calls]
    for thread in threads:
        thread.start()
    return threads


def waiting(semaphore: FairSemaphore) -> int:
    return len(semaphore._waiting)


def test_so_many_are_admitted_and_no_more() -> None:
    semaphore = FairSemaphore(2)
    assert semaphore.acquire(0.01)
    assert semaphore.acquire(0.01)
    assert not semaphore.acquire(0.01)
    semaphore.release()
    assert semaphore.acquire(0.01)


def test_whoever_comes_again_at_once_comes_last() -> None:
    semaphore = FairSemaphore(1)
    admitted = []

    def come(name: str) -> None:
        assert semaphore.acquire(60)
        admitted.append(name)
        semaphore.release()

    assert semaphore.acquire(60)
    threads = []
    for number, name in enumerate("abc"):
        threads += in_threads(lambda name=name: come(name))
        wait_until(lambda n=number: waiting(semaphore) == n + 1, what="a waiter", timeout=60, interval=0.001)
    semaphore.release()
    come("again")
    for thread in threads:
        thread.join()
    assert admitted == ["a", "b", "c", "again"]


def test_nothing_gets_lost_when_many_give_up() -> None:
    semaphore = FairSemaphore(2)
    admitted, given_up = [], []

    def hammer(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(300):
            if semaphore.acquire(chance.random() / 1000):
                admitted.append(seed)
                if chance.random() < 0.3:
                    time.sleep(0.0005)
                semaphore.release()
            else:
                given_up.append(seed)

    for thread in in_threads(*(lambda seed=seed: hammer(seed) for seed in range(8))):
        thread.join()
    assert admitted
    assert given_up
    assert semaphore.acquire(0)
    assert semaphore.acquire(0)
    assert not semaphore.acquire(0)
    semaphore.release()
    assert semaphore.acquire(0)
