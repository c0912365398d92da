"""A client that works with every version of the package. It is run as a script, beside the version's own folder.

``python client_of_any_version.py URL ROLE NAME`` tells by one line of JSON each on standard output what it was
answered, with the moments at which it asked and was told (nanoseconds of a clock that all processes share), until
SIGTERM ends it after its present call:

- ``setup``: registers the sources that NAME lists, ``a,b``, each with a provider of its own name, and ends.
- ``writer``: locks and publishes the partitions of the source NAME, and now and then those of the source ``shared``.
- ``reader``: asks whether the sources that NAME lists are ready.
- ``follower``: follows the history of all sources from its beginning.
- ``stream``: the same on a service's event stream, which ends it.
"""

from __future__ import annotations

import itertools
import json
import random
import signal
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_partition_registry.domain.errors import RegistryError
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store.factory import open_store

HOURS = 5
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
PAUSE = 0.01  # seconds between two calls, so that all clients together leave room for the others on two cores

is_told_to_end = False


def main(url: str, role: str, name: str) -> None:
    signal.signal(signal.SIGTERM, _end)
    with open_store(url, timeout=30) as store:
        roles = {"setup": set_up, "writer": write, "reader": read, "follower": follow, "stream": stream}
        steps = roles[role](store, url if role == "stream" else name)
        for _ in steps:
            if is_told_to_end:
                return
            time.sleep(PAUSE)


def set_up(store: Any, names: str) -> Iterator[None]:
    for name in names.split(","):
        token = store.register_source(name, "ann").access_token
        store.register_provider(name, token)
    yield


def write(store: Any, name: str) -> Iterator[None]:
    mind = random.Random(name)
    for number in itertools.count():
        source = "shared" if mind.random() < 0.2 else name
        key = PartitionKey(source, source, hours(number % HOURS, number % HOURS + 1))
        about = {"source": source, "hour": number % HOURS}
        locked = ask("lock", about, store.lock, key, holder=name, register=True)
        yield
        if locked is not None:
            at = locked.generation
            if mind.random() < 0.9:
                ask("unlock", about, store.unlock, key, generation=at)
            else:
                ask("fail", about, store.fail, key, generation=at, reason="no space")
        yield


def read(store: Any, names: str) -> Iterator[None]:
    for name in itertools.cycle(names.split(",")):
        ask("answer", {"source": name}, store.check_readiness, name, hours(0, HOURS))
        yield


def follow(store: Any, _name: str) -> Iterator[None]:
    after = 0
    while True:
        page = ask("events", {}, store.events, after)
        if page is not None and page.items:
            after = page.items[-1].position
        yield


def stream(_store: Any, url: str) -> Iterator[None]:
    # A proxy of this machine must not be used for it.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url}/api/v1/events/stream?after=0") as lines:
        for line in lines:
            if line.startswith(b"id: "):
                tell(what="events", positions=[int(line[4:])])
                yield


def hours(start: int, end: int) -> Interval:
    return Interval(BEGIN + start * HOUR, BEGIN + end * HOUR)


def ask(what: str, about: dict[str, Any], call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Call, and tell what was answered; None if it was refused."""
    asked = time.monotonic_ns()
    try:
        answer = call(*arguments, **options)
    except RegistryError as error:
        tell(what="refused", call=what, code=error.code, message=str(error), asked=asked, **about)
        return None
    tell(what=what, asked=asked, **about, **details(answer))
    return answer


def details(answer: Any) -> dict[str, Any]:
    if hasattr(answer, "generation"):
        return {"generation": answer.generation}
    if hasattr(answer, "as_of"):
        return {"is_ready": answer.is_ready, "as_of": answer.as_of}
    return {"positions": [event.position for event in answer.items]}


def tell(**line: Any) -> None:
    print(json.dumps({**line, "told": time.monotonic_ns()}), flush=True)


def _end(*_: object) -> None:
    global is_told_to_end  # noqa: PLW0603
    is_told_to_end = True


if __name__ == "__main__":
    main(*sys.argv[1:])
