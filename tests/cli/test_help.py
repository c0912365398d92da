"""The help of every command."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from airflow_provider_partition_registry.cli.errors import EXIT_CODES
from airflow_provider_partition_registry.cli.options import VARIABLES
from airflow_provider_partition_registry.cli.root import root
from tests.cli.conftest import Command


def every_command(group: click.Group = root, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from every_command(command, (*path, name))


def find(path: tuple[str, ...]) -> click.Command:
    found: click.Command = root
    for name in path:
        assert isinstance(found, click.Group)
        found = found.commands[name]
    return found


COMMANDS = list(every_command())
LEAVES = [path for path in COMMANDS if not isinstance(find(path), click.Group)]


def name(path: tuple[str, ...]) -> str:
    return " ".join(path)


@pytest.mark.parametrize("path", [(), *COMMANDS], ids=name)
def test_help(run: Command, path: tuple[str, ...]):
    shown = run(*path, "--help", url="")
    assert (shown.code, shown.stderr) == (0, "")
    assert shown.stdout.startswith(" ".join(("Usage: partition-registry", *path)))
    assert run(*path, "-h", url="").stdout == shown.stdout


@pytest.mark.parametrize("path", [path for path in LEAVES if path != ("serve",)], ids=name)
def test_every_command_takes_json_and_url(run: Command, path: tuple[str, ...]):
    shown = run(*path, "--help").stdout
    assert "--json" in shown
    assert "--url" in shown


@pytest.mark.parametrize("path", LEAVES, ids=name)
def test_every_option_is_explained(path: tuple[str, ...]):
    for parameter in find(path).params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


def test_every_command_has_one_line(run: Command):
    lines = run("--help").stdout.splitlines()
    for each in root.commands.values():
        (line,) = [line for line in lines if line.split()[:1] == [each.name]]
        assert line.endswith("."), "the sentence runs over into the next line"


def test_the_help_documents_exit_codes_and_variables(run: Command):
    shown = run("--help").stdout
    assert "[env var: PARTITION_REGISTRY_URL]" in " ".join(shown.split())
    for name, meaning in VARIABLES.items():
        assert f"{name}  " in shown
        assert meaning in shown
    for code, meaning in EXIT_CODES.items():
        assert f"{code.value:>3}  {meaning}" in shown


def test_called_bare_it_shows_help(run: Command):
    assert run() == run("--help")


def test_the_examples_of_the_help_work(run: Command):
    shown = run("--help").stdout
    examples = [line.split()[1:] for line in shown.splitlines() if line.startswith("    partition-registry")]
    assert len(examples) == 6
    said = ""
    for example in examples:
        words = example[: example.index("&&")] if "&&" in example else example
        outcome = run(*words, stdin=said)
        assert outcome.code == (1 if words[0] == "ready" else 0), outcome.stderr
        said = outcome.stdout.splitlines()[-1]
