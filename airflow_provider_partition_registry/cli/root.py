"""The root of the command: its help, and the order of the commands."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from airflow_provider_partition_registry import __version__
from airflow_provider_partition_registry.cli.commands import (
    db,
    explain,
    fail,
    force_release,
    grant,
    history,
    invalidate,
    lock,
    locks,
    provider,
    push,
    ready,
    release,
    replay,
    run,
    serve,
    source,
    status,
    token,
    unlock,
    wait,
    watch,
    withdraw,
)
from airflow_provider_partition_registry.cli.ending import DocumentedEndings
from airflow_provider_partition_registry.cli.errors import EXIT_CODES
from airflow_provider_partition_registry.cli.options import URL_HELP, URL_VARIABLE, VARIABLES, Options

SECTIONS = {
    "Ask": (
        ready.ready,
        wait.wait,
        explain.explain_,
        status.status,
        locks.locks,
        history.history,
        watch.watch,
    ),
    "Write": (run.run, lock.lock, unlock.unlock, fail.fail, release.release),
    "Start runs of an Airflow": (push.push, replay.replay),
    "Override by hand": (force_release.force_release, invalidate.invalidate, withdraw.withdraw),
    "Set up": (source.source, provider.provider, grant.grant, token.token, db.db, serve.serve),
}

EXAMPLES = """\
  export PARTITION_REGISTRY_URL=postgresql://registry:secret@db.example.com/registry
  partition-registry db upgrade
  partition-registry source register sales --owner data-team@example.com
  partition-registry provider register nightly-load
  partition-registry lock sales nightly-load --start 2026-11-01 --end 2026-11-02 --lease 2h
  partition-registry unlock sales nightly-load --start 2026-11-01 --end 2026-11-02
  partition-registry ready sales --start 2026-11-01 --end 2026-12-01 && make report"""

_codes = "\n".join(f"  {code.value:>3}  {meaning}" for code, meaning in EXIT_CODES.items())
_variables = "\n".join(f"  {name:<32}  {meaning}" for name, meaning in VARIABLES.items())
EPILOG = f"\b\nExamples:\n{EXAMPLES}\n\n\b\nEnvironment:\n{_variables}\n\n\b\nExit codes:\n{_codes}"


class Root(DocumentedEndings, click.Group):
    """A group that lists its commands in sections, and ends with the documented exit codes."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by purpose, in the order in which one needs them."""
        width = max(map(len, self.commands))
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                rows = [(str(each.name).ljust(width), each.get_short_help_str(200)) for each in commands]
                formatter.write_dl(rows)

    def main(self, args: Sequence[str] | None = None, **options: Any) -> NoReturn:  # type: ignore[override]
        """Run, and end the process; without arguments, print the help."""
        given = list(sys.argv[1:] if args is None else args)
        super().main(given or ["--help"], **options)


@click.group(
    cls=Root,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option("--url", envvar=URL_VARIABLE, show_envvar=True, metavar="URL", help=URL_HELP)
@click.version_option(__version__, prog_name="partition-registry")
@click.pass_context
def root(context: click.Context, url: str | None) -> None:
    """Record and check which partitions of shared data are ready to be read."""
    context.obj = Options(url)


for _commands in SECTIONS.values():
    for _command in _commands:
        root.add_command(_command)
