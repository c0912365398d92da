"""The command, run inside the test's process, and a registry for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import Any

import pytest
from click.testing import CliRunner

from airflow_provider_partition_registry.cli.options import TOKEN_VARIABLE, URL_VARIABLE
from airflow_provider_partition_registry.cli.root import root

NOVEMBER = ("--start", "2026-11-01", "--end", "2026-12-01")
FIRST = "[2026-11-01T00:00:00Z, 2026-11-02T00:00:00Z)"


def day(number: int) -> tuple[str, ...]:
    """Options that name a day of November."""
    return ("--start", f"2026-11-{number:02}", "--end", f"2026-11-{number + 1:02}")


@dataclass(frozen=True)
class Outcome:
    """How a call ended, and what it printed."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)

    @property
    def error(self) -> Any:
        return json.loads(self.stderr)


Command = Callable[..., Outcome]


# Before click 8.2, standard error is part of the output unless this is said.
APART: Any = {"mix_stderr": False} if "mix_stderr" in signature(CliRunner).parameters else {}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, migrated_sqlite_url: str) -> Command:
    """Runs the command on a SQLite registry of the test's own; ``url`` names another one, or none."""
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)

    def invoke(
        *arguments: str, url: str = migrated_sqlite_url, stdin: str = "", **environment: str
    ) -> Outcome:
        # Without COLUMNS the help is as wide as the terminal in which the tests run.
        environment = {URL_VARIABLE: url, "COLUMNS": "80", **environment}
        result = CliRunner(**APART).invoke(
            root, arguments, input=stdin, env=environment, prog_name="partition-registry"
        )
        return Outcome(result.exit_code, result.stdout, result.stderr)

    return invoke


@pytest.fixture
def token(run: Command) -> str:
    """The access token of the source ``sales``."""
    return run("source", "register", "sales", "--owner", "data-team", "--json").json["access_token"]


@pytest.fixture
def nightly(run: Command, token: str) -> Command:
    """A command whose registry knows the source ``sales`` and its provider ``nightly``."""
    assert run("provider", "register", "nightly", stdin=token).code == 0
    return run


def lock(run: Command, number: int, *more: str) -> dict:
    locked = run("lock", "sales", "nightly", *day(number), *more, "--json")
    assert locked.code == 0, locked.stderr
    return locked.json


def publish(run: Command, *numbers: int) -> None:
    for number in numbers:
        lock(run, number)
        assert run("unlock", "sales", "nightly", *day(number)).code == 0
