"""The root of the command: its help, its order, and the one place where errors become exit codes."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from airflow_provider_partition_registry import __version__
from airflow_provider_partition_registry.cli import (
    asking,
    database,
    deciding,
    following,
    grants,
    providers,
    running,
    serving,
    sources,
    tokens,
    waiting,
    writing,
)
from airflow_provider_partition_registry.cli.errors import EXIT_CODES, ExitCode, report, wants_json
from airflow_provider_partition_registry.cli.options import URL_HELP, URL_VARIABLE, VARIABLES, Settings
from airflow_provider_partition_registry.cli.output import echo_error

SECTIONS = {
    "Ask": (
        asking.ready,
        waiting.wait,
        asking.explain_,
        asking.status,
        following.history,
        following.watch,
    ),
    "Write": (running.run, writing.lock, writing.unlock, writing.fail),
    "Decide by hand": (deciding.force_release, deciding.invalidate, deciding.withdraw),
    "Set up": (sources.source, providers.provider, grants.grant, tokens.token, database.db, serving.serve),
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


class Root(click.Group):
    """A group that lists its commands in sections and ends with the documented exit codes."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by what one wants to do, in the order in which one meets them."""
        width = max(map(len, self.commands))
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                rows = [(str(each.name).ljust(width), each.get_short_help_str(200)) for each in commands]
                formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader of our output who has gone must not look like an answer either."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _leave_the_pipe_alone()
            ctx.exit(ExitCode.BROKEN_PIPE)

    def main(self, args: Sequence[str] | None = None, **options: Any) -> NoReturn:  # type: ignore[override]
        """Run, and end the process."""
        given = list(sys.argv[1:] if args is None else args)
        _tolerate_any_text()
        sys.exit(self._run(given or ["--help"], **options))

    def _run(self, given: list[str], **options: Any) -> int:
        try:
            code = super().main(given, **{**options, "standalone_mode": False})
        except click.Abort:
            echo_error("Interrupted.")
            return ExitCode.INTERRUPTED
        except Exception as error:  # whatever it is, its exit code must not look like an answer
            return report(error, as_json=wants_json(given))
        return code if isinstance(code, int) else ExitCode.DONE


def _tolerate_any_text() -> None:
    """Names of any language can be printed wherever we run, if need be escaped."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def _leave_the_pipe_alone() -> None:
    # Python flushes standard output once more when it ends, and would complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.group(
    cls=Root,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option("--url", envvar=URL_VARIABLE, show_envvar=True, metavar="URL", help=URL_HELP)
@click.version_option(__version__, prog_name="partition-registry")
@click.pass_context
def root(context: click.Context, url: str | None) -> None:
    """Tell and ask which partitions of shared data may be read."""
    context.obj = Settings(url)


for _commands in SECTIONS.values():
    for _command in _commands:
        root.add_command(_command)
