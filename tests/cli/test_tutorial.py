"""The tutorial's commands work as they are written, in order, and print what it shows."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from airflow_provider_partition_registry.cli.options import URL_VARIABLE
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store.factory import open_store
from tests.cli.conftest import Command, Outcome
from tests.documents import DOCS, PROJECT, blocks

PAGE = DOCS / "tutorial.md"
(INSTALL,) = blocks(PAGE, "console")
MAKE, REGISTER, LOCK, READY, WAIT, UNLOCK, CONNECT = blocks(PAGE, "bash")
WHY_NOT_READY, _ = blocks(PAGE, "text")


def calls(block: str) -> list[list[str]]:
    """The arguments of the command's calls."""
    lines = [shlex.split(line, comments=True) for line in block.splitlines()]
    return [words for program, *words in lines if program == "partition-registry"]


def test_it_installs_this_package() -> None:
    name = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["name"]
    assert f"pip install {name}\n" == INSTALL


def test_it_speaks_of_one_registry() -> None:
    (url,) = (
        words[1].partition("=")[2] for words in map(shlex.split, MAKE.splitlines()) if words[0] == "export"
    )
    assert f'"host": "{url}"' in CONNECT


def test_its_commands(run: Command, migrated_sqlite_url: str) -> None:
    def follow(block: str, code: int = 0) -> Outcome:
        outcome = Outcome(0, "", "")
        for words in calls(block):
            # A command that asks for a token gets the one that was printed last.
            outcome = run(*words, stdin=outcome.stdout.splitlines()[-1] if outcome.stdout else "")
            assert outcome.code == code, outcome.stderr
        return outcome

    for block in (MAKE, REGISTER, LOCK):
        follow(block)
    said = follow(READY, code=1).stdout.splitlines()
    shown = WHY_NOT_READY.splitlines()
    assert len(said) == len(shown)
    assert all(line.startswith(each.partition("…")[0]) for line, each in zip(said, shown, strict=True))
    with waiting(migrated_sqlite_url) as reader:
        with pytest.raises(subprocess.TimeoutExpired):
            reader.wait(1)
        follow(UNLOCK)
        assert reader.communicate(timeout=60) == ("reading\n", None)
    follow(READY)


def test_the_program_of_the_reference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (program,) = blocks(DOCS / "reference" / "python.md", "python")
    url = f"sqlite:///{tmp_path}/registry.db"
    with open_store(url) as store:
        key = PartitionKey("shop.sales", "example_producer", Interval("2026-11-01", "2026-11-02"))
        store.register_provider(key.provider_name, store.register_source(key.source_name, "ann").access_token)
        store.lock(key, register=True)
    exec(compile(program.replace("sqlite:////tmp/registry.db", url), "python.md", "exec"), {})
    assert capsys.readouterr().out.startswith("False (")


def waiting(url: str) -> subprocess.Popen[str]:
    """The command in the second terminal."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, URL_VARIABLE: url}
    return subprocess.Popen(["bash", "-euc", WAIT], env=environment, stdout=subprocess.PIPE, text=True)
