"""How the program ends: the one place where errors become exit codes."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from airflow_provider_partition_registry.cli.errors import ExitCode, report, wants_json
from airflow_provider_partition_registry.cli.output import echo_error


class DocumentedEndings(click.Command):
    """A command that ends its process with one of the documented exit codes."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. If the reader of our output has gone, the exit code must not look like an answer."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _leave_the_pipe_alone()
            ctx.exit(ExitCode.BROKEN_PIPE)

    def main(self, args: Sequence[str] | None = None, **options: Any) -> NoReturn:  # type: ignore[override]
        """Run, and end the process."""
        given = list(sys.argv[1:] if args is None else args)
        _tolerate_any_text()
        sys.exit(self._run(given, **options))

    def _run(self, given: list[str], **options: Any) -> int:
        try:
            code = super().main(given, **{**options, "standalone_mode": False})
        except click.Abort:
            echo_error("Interrupted.")
            return ExitCode.INTERRUPTED
        except Exception as error:  # even a bug's exit code must not look like an answer
            return report(error, as_json=wants_json(given))
        return code if isinstance(code, int) else ExitCode.DONE


def _tolerate_any_text() -> None:
    """Let names in any language be printed wherever this runs, if need be with escapes."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def _leave_the_pipe_alone() -> None:
    # Python flushes standard output once more when it ends, and would complain about the broken pipe.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
