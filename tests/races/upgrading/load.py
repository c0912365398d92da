"""Clients of several versions at work, and what must hold for all that they were told."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from airflow_provider_partition_registry.domain.models import Event, EventType
from testbed.client_of_any_version import HOURS, hours
from testbed.processes import wait_until
from testbed.versions import Client, Version

TURN_TIMEOUT = 240.0  # seconds until everybody has got on, on a machine however busy
STEPS = 5
Line = dict[str, Any]


class Load:
    """All clients, those that have ended included.

    :param folder: for what they tell.
    :param sources: which readers ask for.
    """

    def __init__(self, folder: Path, sources: Sequence[str]) -> None:
        self.clients: list[Client] = []
        self.followers = 0
        self._folder, self._sources = folder, sources
        self._numbers = itertools.count()

    def start(self, version: Version, url: str, role: str, name: str = "") -> Client:
        """Start one more client; readers need no name."""
        name = name or ",".join(self._sources)
        client = version.client(url, role, name, self._folder / f"{next(self._numbers)}-{role}.log")
        self.clients.append(client)
        self.followers += role in ("follower", "stream")
        return client

    def wait_for_progress(self) -> None:
        """Wait until each client that is running has been answered several times more, and is running still."""
        running = [each for each in self.clients if each.is_running]
        before = {each: len(answered(each)) for each in running}
        for each, count in before.items():
            wait_until(
                lambda each=each, count=count: len(answered(each)) >= count + STEPS,
                what=f"{each.name} to be answered",
                timeout=TURN_TIMEOUT,
                children=[each],
            )

    def told(self, what: str) -> list[Line]:
        """All lines of a kind, of all clients."""
        return [line for client in self.clients for line in client.told() if line["what"] == what]

    def stop(self) -> None:
        """End all."""
        for each in self.clients:
            each.stop()


def answered(client: Client) -> list[Line]:
    return [line for line in client.told() if line["what"] != "refused"]


def refusals(client: Client) -> set[tuple[str, str]]:
    """Which calls were refused, each with the error's code. That others hold a lock is none."""
    refused = {(line["call"], line["code"]) for line in client.told() if line["what"] == "refused"}
    return refused - {("lock", "partition_locked")}


def assert_nothing_is_lost(events: Iterable[Event], load: Load) -> None:
    """All that was acknowledged is in the history."""
    written = {(event.type, event.source_name, event.interval, event.generation) for event in events}
    for what in ("lock", "unlock", "fail"):
        told = load.told(what)
        assert told, what
        for line in told:
            interval = hours(line["hour"], line["hour"] + 1)
            assert (EventType[what.upper()], line["source"], interval, line["generation"]) in written, line


def assert_answers_follow_from_the_history(events: Iterable[Event], load: Load) -> None:
    """Each answer is that of the moment which it names: ready if all parts were published last."""
    answers = sorted(load.told("answer"), key=lambda line: line["as_of"])
    assert {line["is_ready"] for line in answers} == {False, True}
    rest = iter(events)
    event = next(rest, None)
    published: dict[str, set[Any]] = defaultdict(set)
    for line in answers:
        while event is not None and event.position <= line["as_of"]:
            if event.type is EventType.UNLOCK:
                published[str(event.source_name)].add(event.interval)
            elif event.type in (EventType.LOCK, EventType.FAIL):
                published[str(event.source_name)].discard(event.interval)
            event = next(rest, None)
        assert line["is_ready"] == (len(published[line["source"]]) == HOURS), line


def assert_nothing_is_ready_while_locked(load: Load) -> None:
    """No reader who asked after a lock was acknowledged was told "ready" before its holder asked to end it."""
    locked: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for client in load.clients:
        lines = [line for line in client.told() if "hour" in line]
        for line, following in itertools.zip_longest(lines, lines[1:]):
            if line["what"] == "lock":
                locked[line["source"]].append(
                    (line["told"], following["asked"] if following else float("inf"))
                )
    for answer in load.told("answer"):
        if answer["is_ready"]:
            for begin, end in locked[answer["source"]]:
                assert not (begin < answer["asked"] and answer["told"] < end), answer


def assert_followers_miss_and_repeat_nothing(events: Iterable[Event], load: Load) -> None:
    """Each has read the history from its beginning on, up to where it ended."""
    positions = [event.position for event in events]
    followers = [client for client in load.clients if any(line["what"] == "events" for line in client.told())]
    assert len(followers) == load.followers
    for client in followers:
        seen = [position for line in client.told() for position in line.get("positions", ())]
        assert seen, client.name
        assert seen == positions[: len(seen)], client.name
