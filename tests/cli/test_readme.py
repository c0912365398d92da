"""The commands in the README work as they are written, in order, in a new registry."""

from __future__ import annotations

import re
import shlex

from tests.cli.conftest import Command
from tests.documents import PROJECT, blocks

README = PROJECT / "README.md"
COMMAND = re.compile(r"^partition-registry ([^#\n]+)", flags=re.MULTILINE)


def test_its_commands_work(run: Command):
    commands = [shlex.split(found) for found in COMMAND.findall("".join(blocks(README, "bash")))]
    assert [command[0] for command in commands] == ["db", "source", "provider"]
    said = ""
    for command in commands:
        outcome = run(
            *command, stdin=said
        )  # Registering a provider asks for the token that registering the source printed last.
        assert outcome.code == 0, outcome.stderr
        said = outcome.stdout.splitlines()[-1]
