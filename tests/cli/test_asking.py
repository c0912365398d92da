"""Every command that only asks: what it does, says, and prints as JSON."""

from __future__ import annotations

import click
import pytest

from airflow_provider_partition_registry.cli import options, output
from airflow_provider_partition_registry.cli.commands import status
from airflow_provider_partition_registry.domain.intervals import to_instant
from airflow_provider_partition_registry.store import paging
from tests.cli.conftest import FIRST, NOVEMBER, Command, day, lock, publish


class TestAsking:
    def test_ready(self, nightly: Command):
        publish(nightly, 1)
        answer = nightly("ready", "sales", *day(1))
        assert (answer.code, answer.stderr) == (0, "")
        assert answer.stdout.startswith(f"Ready: {FIRST} of source 'sales'")

    def test_not_ready(self, nightly: Command):
        publish(nightly, 1)
        lock(nightly, 2)
        lock(nightly, 3)
        nightly("fail", "sales", "nightly", *day(3), "--reason", "disk full")
        answer = nightly("ready", "sales", *NOVEMBER)
        assert (answer.code, answer.stderr) == (1, "")
        first, gap, locked, failed = answer.stdout.splitlines()
        assert first.startswith("Not ready: ")
        assert gap == "  nobody has published [2026-11-04T00:00:00Z, 2026-12-01T00:00:00Z)"
        assert "is being written by nightly" in locked
        assert failed.endswith("disk full")

    def test_locks(self, nightly: Command, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(paging, "PAGE_SIZE", 1)
        assert nightly("locks").stdout == "No locks.\n"
        publish(nightly, 1)
        lock(nightly, 2, "--holder", "airflow/dag/run-1/lock")
        lock(nightly, 3, "--holder", "airflow/dag/run-2/lock", "--lease", "2h")
        heading, first, second = nightly("locks").stdout.splitlines()
        assert heading.split()[:3] == ["SOURCE", "START", "END"]
        assert first.endswith("by airflow/dag/run-1/lock")
        assert "; lease until 20" in second
        found = nightly("locks", "--holder-prefix", "airflow/dag/run-2/", "--json").json
        assert [each["lock"]["holder"]["identity"] for each in found] == ["airflow/dag/run-2/lock"]

    def test_ready_as_json(self, nightly: Command):
        publish(nightly, 1)
        answer = nightly("ready", "sales", *NOVEMBER, "--json")
        assert answer.code == 1
        assert answer.json["is_ready"] is False
        assert answer.json["gaps"] == [{"start": "2026-11-02T00:00:00Z", "end": "2026-12-01T00:00:00Z"}]
        assert nightly("ready", "sales", *day(1), "--json").json["is_ready"] is True

    def test_published_after(self, nightly: Command):
        publish(nightly, 1)
        assert nightly("ready", "sales", *day(1), "--published-after", "2020-01-01").code == 0
        late = nightly("ready", "sales", *day(1), "--published-after", "2999-01-01T00:00:00+02:00")
        assert late.code == 1
        assert "not known to have been published since 2998-12-31T22:00:00Z" in late.stdout

    def test_status(self, nightly: Command):
        publish(nightly, 1)
        lock(nightly, 2, "--holder", "me", "--lease", "2h")
        lock(nightly, 3)
        nightly("fail", "sales", "nightly", *day(3), "--reason", "disk\nfull")
        shown = nightly("status", "sales", *NOVEMBER)
        assert shown.code == 0
        heading, first, second, third, empty, sentence, *_ = shown.stdout.splitlines()
        assert heading.split() == ["START", "END", "PROVIDER", "STATE", "SINCE", "GEN", "DETAILS"]
        state, details = heading.index("STATE"), heading.index("DETAILS")
        assert first.startswith("2026-11-01  2026-11-02  nightly ")
        assert [row[state:].split()[0] for row in (first, second, third)] == ["ready", "locked", "failed"]
        assert first[details:] == "by nightly"
        assert second[details:].startswith("by me; lease until 20")
        assert third[details:] == "disk full; by nightly"
        assert (empty, sentence[:10]) == ("", "Not ready:")

    def test_status_is_shortened_only_on_a_terminal(self, nightly: Command, monkeypatch: pytest.MonkeyPatch):
        holder = "sales-airflow/nightly/manual__2026-11-02T00:00:00+00:00/lock"
        lock(nightly, 1, "--holder", holder, "--lease", "2h")
        assert f"by {holder}; lease until 20" in nightly("status", "sales", *day(1)).stdout.splitlines()[1]
        for width, room in ((100, 40), (20, len("DETAILS"))):
            monkeypatch.setattr(status, "terminal_width", lambda width=width: width)
            heading, row, *_ = nightly("status", "sales", *day(1)).stdout.splitlines()
            details = row[heading.index("DETAILS") :]
            assert len(details) <= room
            assert f"by {holder}".startswith(details.removesuffix("…"))
            assert details.endswith("…")

    def test_states_are_coloured_on_a_terminal(self, nightly: Command, monkeypatch: pytest.MonkeyPatch):
        publish(nightly, 1)
        lock(nightly, 2, "--holder", "failed")
        shown: list[str] = []
        monkeypatch.setattr(output, "terminal_width", lambda: 100)
        # Output is not a terminal here, so click would remove the colours again.
        monkeypatch.setattr(click, "echo", shown.append)
        nightly("status", "sales", *NOVEMBER)
        assert "  \x1b[32mready\x1b[0m  " in shown[0]
        assert "  \x1b[33mlocked\x1b[0m  " in shown[0]
        assert "\n\x1b[33mNot ready\x1b[0m: " in shown[0]
        assert shown[0].count("\x1b") == 6
        nightly("status", "sales", *NOVEMBER, NO_COLOR="1")
        assert "\x1b" not in shown[1]

    def test_a_pipe_has_no_width(self):
        assert output.terminal_width() is None

    @pytest.mark.parametrize(
        ("instants", "written"),
        [
            (["2026-11-01", "2026-11-02"], ["2026-11-01", "2026-11-02"]),
            (["2026-11-01", "2026-11-01T12:30"], ["2026-11-01T00:00Z", "2026-11-01T12:30Z"]),
            (
                ["2026-11-01", "2026-11-01T00:00:00.5"],
                ["2026-11-01T00:00:00Z", "2026-11-01T00:00:00.500000Z"],
            ),
            ([], []),
        ],
    )
    def test_instants_are_written_without_needless_zeros(self, instants: list[str], written: list[str]):
        assert output.without_zeros(map(to_instant, instants)) == written
        assert list(map(to_instant, written)) == list(map(to_instant, instants))

    def test_status_of_nothing(self, nightly: Command):
        shown = nightly("status", "sales", *NOVEMBER)
        assert shown.stdout.startswith(
            "No partitions in [2026-11-01T00:00:00Z, 2026-12-01T00:00:00Z) of source 'sales'."
        )
        assert "Not ready" in shown.stdout

    def test_status_as_json(self, nightly: Command):
        publish(nightly, 1)
        shown = nightly("status", "sales", *day(1), "--json").json
        assert shown["readiness"]["is_ready"] is True
        assert [each["state"] for each in shown["partitions"]] == ["ready"]
        assert shown["is_complete"] is True

    @pytest.mark.parametrize(("limit", "is_complete"), [(2, False), (3, True), (4, True)])
    def test_status_shows_some_of_many(
        self, nightly: Command, monkeypatch: pytest.MonkeyPatch, limit: int, is_complete: bool
    ):
        monkeypatch.setattr(paging, "PAGE_SIZE", 1)
        publish(nightly, 1, 2, 3)
        shown = nightly("status", "sales", *NOVEMBER, "--limit", str(limit), "--json").json
        assert (len(shown["partitions"]), shown["is_complete"]) == (min(limit, 3), is_complete)
        assert (
            "raise --limit" in nightly("status", "sales", *NOVEMBER, "--limit", str(limit)).stdout
        ) != is_complete

    # Escape, its one-character form from Latin-1, delete, a line and a paragraph separator, the marks that change the
    # direction of text, one that is not drawn, and one beyond 16 bits.
    @pytest.mark.parametrize(
        "mark",
        ["\x1b", "\x9b", "\x85", "\x7f", "\u2028", "\u2029", "\u202e", "\u2066", "\u200b", "\U000e0001"],
        ids=ascii,
    )
    def test_control_characters_are_escaped(self, nightly: Command, mark: str):
        reason = f"a{mark}b\tGröße 数据 😀"
        lock(nightly, 1)
        shown = [nightly("fail", "sales", "nightly", *day(1), "--reason", reason)]
        nightly("source", "register", "obeyed", "--owner", reason)
        for command in (("status", "sales"), ("ready", "sales"), ("explain", "sales")):
            shown += [nightly(*command, *day(1), *more) for more in ((), ("--json",))]
        shown += [nightly("history", "sales", *more) for more in ((), ("--json",))]
        shown += [nightly("source", "list", *more) for more in ((), ("--json",))]
        # Errors quote what was typed, and the partition's state.
        shown += [nightly("ready", "sales", "--start", reason, *more) for more in ((), ("--json",))]
        shown += [nightly("unlock", "sales", "nightly", *day(1), "--generation", "7", "--json")]
        for each in shown:
            for text in (each.stdout, each.stderr):
                assert [line for line in text.split("\n") if not line.isprintable()] == []
        assert shown[-1].error["partition"]["reason"] == reason
        assert shown[2].json["partitions"][0]["reason"] == reason
        escaped = mark.encode("unicode_escape").decode()
        assert mark.isspace() or escaped in shown[1].stdout
        assert "Größe 数据 😀" in shown[2].stdout

    def test_control_characters_in_a_bugs_message_are_escaped(
        self, nightly: Command, monkeypatch: pytest.MonkeyPatch
    ):
        def fail(*_: object) -> None:
            raise RuntimeError("\x9b2J")

        monkeypatch.setattr(options.Options, "open_store", fail)
        for more in ((), ("--json",)):
            told = nightly("source", "list", *more)
            assert told.code == 70
            assert [line for line in told.stderr.split("\n") if not line.isprintable()] == []

    def test_names_in_any_language(self, nightly: Command):
        nightly("source", "register", "продажи", "--owner", "отдел 数据")
        assert "продажи" in nightly("source", "list").stdout
        assert "отдел 数据" in nightly("source", "list", "--json").stdout
