"""What is hidden from a client is told it once, whichever process it asks."""

from __future__ import annotations

import pytest

from airflow_provider_partition_registry.server.waiting import hints as hints_module
from airflow_provider_partition_registry.server.waiting.hints import MOST_PROCESSES, Heard, Hints

ANY: frozenset[str] = frozenset()


class Client:
    """Sends back what it was told it has heard."""

    def __init__(self) -> None:
        self.heard = Heard.from_text("nothing")

    def ask(self, process: Hints) -> frozenset[str] | None:
        told = process.since(process.heard_by(self.heard))
        if told is not None:
            self.heard = Heard.from_text(str(process.now_heard_by(self.heard)))
        return told


def add(process: Hints, *names: str) -> None:
    process.add(frozenset(names))


def test_names_add_up_and_are_told_each_client_once() -> None:
    process, one, other = Hints(), Client(), Client()
    assert one.ask(process) is None
    add(process, "a")
    assert one.ask(process) == {"a"}
    add(process, "b")
    add(process, "c", "a")
    assert one.ask(process) == {"a", "b", "c"}
    assert one.ask(process) is None
    add(process, "c")
    assert one.ask(process) == {"c"}
    assert other.ask(process) == {"a", "b", "c"}


def test_what_concerns_any_source_outweighs_names_until_it_is_told() -> None:
    process, client = Hints(), Client()
    add(process, "a")
    add(process)
    add(process, "b")
    assert client.ask(process) == ANY
    assert client.ask(process) is None
    add(process, "c")
    assert client.ask(process) == {"c"}


def test_too_many_names_become_any_for_those_who_have_not_heard_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints_module, "MOST_NAMED", 2)
    process, slow, quick = Hints(), Client(), Client()
    for name in "abc":
        add(process, name)
        assert quick.ask(process) == {name}
    assert slow.ask(process) == ANY
    add(process, "d", "e", "f")
    assert quick.ask(process) == ANY


def test_what_can_be_listed_is_forgotten_and_what_came_later_is_not() -> None:
    process, client = Hints(), Client()
    add(process)
    add(process, "a")
    listed = process.newest
    add(process, "b")
    process.forget(listed)
    assert client.ask(process) == {"b"}
    process.forget(process.newest)
    add(process, "c")
    process.forget(process.newest)
    assert client.ask(process) is None
    assert Client().ask(process) is None


def test_each_process_tells_what_it_heard_itself() -> None:
    one, other, client = Hints(), Hints(), Client()
    for process in (one, other):
        add(process, "a")
    assert client.ask(one) == {"a"}
    add(one, "b")
    assert client.ask(other) == {"a"}, "it cannot know that the first one has told it"
    add(other, "b")
    assert client.ask(other) == client.ask(one) == {"b"}
    assert client.ask(other) is None
    assert client.ask(one) is None


def test_who_says_nothing_hears_only_what_is_to_come() -> None:
    process = Hints()
    add(process, "a")
    heard = process.heard_by(None)
    assert process.since(heard) is None
    add(process, "b")
    assert process.since(heard) == {"b"}
    assert process.heard_by(process.now_heard_by(None)) == process.newest


def test_what_a_client_sends_back_does_not_grow() -> None:
    client, processes = Client(), [Hints() for _ in range(MOST_PROCESSES + 1)]
    for process in processes:
        add(process, "a")
        client.ask(process)
    assert len(client.heard.numbers) == MOST_PROCESSES
    assert client.ask(processes[1]) is None
    assert client.ask(processes[0]) == {"a"}, "that of the one asked longest ago is missing"


@pytest.mark.parametrize("text", ["", "nothing", "x=1", "0123456789abcdef=-1", "0123456789abcdef"])
def test_what_is_not_understood_was_not_heard(text: str) -> None:
    assert Heard.from_text(text) == Heard()
