"""The commands in the README work as they stand, one after the other, in a new registry."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from airflow_provider_partition_registry.cli.options import VARIABLES
from tests.cli.conftest import Command

README = Path(__file__).parents[2] / "README.md"
COMMAND = re.compile(r"(?:^|`)partition-registry ([^`#\n]+)", flags=re.MULTILINE)


def test_its_commands_work(run: Command):
    commands = [shlex.split(found) for found in COMMAND.findall(README.read_text())]
    assert [command[0] for command in commands] == [
        *("db", "source", "provider", "ready", "status", "--help", "token")
    ]
    said = ""
    for command in commands:
        outcome = run(
            *command, stdin=said
        )  # Registering a provider asks for what registering the source said last.
        assert outcome.code == (1 if command[0] == "ready" else 0), outcome.stderr
        said = outcome.stdout.splitlines()[-1]


def test_it_names_what_a_registry_is_found_and_entered_with():
    (about,) = re.findall(
        r"^## The command line\n(.*?)^## ", README.read_text(), flags=re.MULTILINE | re.DOTALL
    )
    assert all(f"`{name}`" in about for name in VARIABLES)
