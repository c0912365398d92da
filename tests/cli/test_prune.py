"""``db prune``, and what commands that show the history say afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_partition_registry.cli.commands import db
from tests.cli.conftest import Command, day
from tests.documents import DOCS, blocks

ALL = ("--before", "now")


@pytest.fixture
def written(nightly: Command) -> Command:
    """``nightly`` has published the first of November three times, and the second once."""
    for number in (1, 1, 1, 2):
        for verb in ("lock", "unlock"):
            assert nightly(verb, "sales", "nightly", *day(number)).code == 0
    return nightly


def shell(commands: str, **variables: str) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    subprocess.run(["bash", "-ec", commands], check=True, env={**os.environ, "PATH": path, **variables})


def types(command: Command, *arguments: str) -> list[str]:
    return [each["type"] for each in command("history", *arguments, "--json").json["events"]]


def test_it_tells_first_what_it_would_remove(written: Command) -> None:
    before = types(written)
    told = written("db", "prune", *ALL, "--dry-run")
    assert "8 events and 0 partitions" in told.stdout
    assert "would be removed" in told.stdout
    assert types(written) == before
    done = written("db", "prune", *ALL, "--json").json
    assert (done["event_count"], done["partition_count"], done["is_trial"]) == (8, 0, False)
    assert "0 events and 0 partitions" in written("db", "prune", *ALL).stdout
    assert written("db", "verify").code == 0


def test_it_tells_how_far_it_is(written: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db, "TOLD_EVERY", -1)
    assert "At source 'sales': 8 events" in written("db", "prune", *ALL).stderr


@pytest.mark.parametrize("instant", ["tomorrow", "2999-01-01", "soon"])
def test_only_the_past_can_be_pruned(written: Command, instant: str) -> None:
    before = types(written)
    assert written("db", "prune", "--before", instant).code == 2
    assert types(written) == before


def test_the_instant_has_to_be_given(written: Command) -> None:
    assert written("db", "prune").code == 2


def test_a_service_is_not_pruned_from_outside(run: Command) -> None:
    refused = run("db", "prune", *ALL, url="http://127.0.0.1:1")
    assert refused.code == 2
    assert "database itself" in refused.stderr


def test_there_has_to_be_a_registry(run: Command, tmp_path) -> None:
    assert run("db", "prune", *ALL, url=f"sqlite:///{tmp_path}/none.db").code == 7
    assert not list(tmp_path.glob("none.db"))


def test_the_history_says_that_it_was_pruned(written: Command) -> None:
    assert "was pruned" not in written("history", "sales").stdout
    assert written("db", "prune", *ALL).code == 0
    for arguments in (
        ("sales",),
        ("--limit", "1000"),
        ("sales", "--since", "2020-01-01"),
        ("--since", "-9d"),
    ):
        assert "The history was pruned" in written("history", *arguments).stdout
        assert written("history", *arguments, "--json").json["pruned_before"]
    assert types(written, "sales") == ["SOURCE_REGISTERED", "PROVIDER_REGISTERED", "UNLOCK", "UNLOCK"]


def test_who_follows_from_before_is_told(written: Command) -> None:
    positions = [each["position"] for each in written("history", "--json").json["events"]]
    assert written("db", "prune", *ALL).code == 0
    for arguments in (("history", "--after", "0"), ("watch", "sales", "--after", str(positions[-3]))):
        refused = written(*arguments, "--json")
        assert (refused.code, refused.error["code"]) == (4, "pruned_position")
    shown = written("history", "--after", str(positions[-2]), "--json").json["events"]
    assert [each["position"] for each in shown] == positions[-1:]


def test_the_commands_of_its_page(written: Command, migrated_sqlite_url: str) -> None:
    """Of docs/how-to/keep-the-history-short.md, as they are written; the registry stays the same one."""
    prune, vacuum = blocks(DOCS / "how-to" / "keep-the-history-short.md", "bash")
    after = written("history", "--json").json["events"][-1]["position"]
    file = Path(migrated_sqlite_url.removeprefix("sqlite:///"))
    before = file.stat().st_size
    shell(prune, REGISTRY=migrated_sqlite_url)
    shell(prune.replace("-400d", "now"), REGISTRY=migrated_sqlite_url)
    shell(vacuum.replace("/srv/registry/registry.db", str(file)))
    assert file.stat().st_size <= before
    assert types(written, "sales") == ["SOURCE_REGISTERED", "PROVIDER_REGISTERED", "UNLOCK", "UNLOCK"]
    assert written("lock", "sales", "nightly", *day(3)).code == 0
    following = written("history", "--after", str(after), "--json").json["events"]
    assert [each["position"] for each in following] == [after + 1, after + 2]
