"""``run``: run a command under a lock, for cron and Kubernetes."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from datetime import timedelta
from pathlib import Path

import click

from airflow_provider_partition_registry.cli.instants import DurationType, interval_options
from airflow_provider_partition_registry.cli.job.reporting import Reporter
from airflow_provider_partition_registry.cli.job.run import Run, Terms
from airflow_provider_partition_registry.cli.options import Options, about_us, common_options, host_name
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import Holder, PartitionKey

STORE_THREADS = 3  # one listens for changes, one renews the lease, one finishes

EPILOG = """\b
Example:
  partition-registry run sales nightly-load --start yesterday --grain day -- ./load.sh

\b
Exit codes:
  that of the command; 128+n if signal n ended it
    2, 4, 6, 7  as in partition-registry --help: the command was not run
    3  timed out waiting for another holder's lock: the command was not run
    5  locked by another holder: the command was not run; or the lock was lost while it ran
    7  also: the command succeeded, but the registry has become unavailable
  126, 127  the command is not executable, or not found: nothing was locked; if it cannot be started for another
            reason, such as a missing interpreter, the partition is marked as failed
A message on standard error says which of them it is.
"""


class RunCommand(click.Command):
    """A command whose arguments end with another command, which has options of its own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take every option before the ``--`` as ours, and tell a caller who left the ``--`` out."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if "--" in args:
                raise
            raise click.UsageError(
                f"{error.format_message()} Write -- before the command to run", ctx
            ) from error


@click.command(
    cls=RunCommand,
    epilog=EPILOG,
    short_help="Run a command under a lock; publish if it succeeds.",
)
@click.argument("source_name", metavar="SOURCE")
@click.argument("provider_name", metavar="PROVIDER")
@interval_options
@click.option(
    "--lease",
    type=DurationType(),
    default="15m",
    show_default=True,
    help="How long the lock stays valid if this process disappears. Renewed while the command runs.",
)
@click.option(
    "--holder",
    metavar="IDENTITY",
    help="Identity of this run; a retry with the same identity gets its lock back at once. By default every run has "
    "its own, made of host, process id and a random number.",
)
@click.option(
    "--exclusive", is_flag=True, help="Lock out all other providers of the source for this interval."
)
@click.option(
    "--on-conflict",
    type=click.Choice(("fail", "wait")),
    default="fail",
    show_default=True,
    help="If another holder has the lock: end, or wait until it is free. While waiting, an unavailable registry is "
    "waited for as well.",
)
@click.option(
    "--timeout",
    type=DurationType(),
    default="1h",
    show_default=True,
    help="With --on-conflict wait: how long to wait.",
)
@click.option(
    "--grace",
    type=DurationType(),
    default="10s",
    show_default=True,
    help="How long a command that was told to stop may take before it is killed; less if its lease ends earlier.",
)
@click.option(
    "--retry-for",
    type=DurationType(),
    default="5m",
    show_default=True,
    help="How long to keep trying to report the result to an unavailable registry.",
)
@click.option(
    "--stderr-lines",
    type=click.IntRange(0, 100),
    default=10,
    show_default=True,
    metavar="N",
    help="How many of the last lines of standard error to quote as the reason of a failure, which everybody can read.",
)
@click.option(
    "--verbose", is_flag=True, help="Report success and progress as well (the default on a terminal)."
)
@common_options
@click.argument("command", nargs=-1, type=click.UNPROCESSED, required=True, metavar="-- COMMAND [ARGS]...")
@click.pass_context
def run(
    context: click.Context,
    source_name: str,
    provider_name: str,
    interval: Interval,
    *,
    lease: timedelta,
    holder: str | None,
    exclusive: bool,
    on_conflict: str,
    timeout: timedelta,
    grace: timedelta,
    retry_for: timedelta,
    stderr_lines: int,
    verbose: bool,
    as_json: bool,
    command: tuple[str, ...],
) -> None:
    """Run a command while its partition is locked.

    The partition is registered if necessary, locked, and published if the command exits with 0. Otherwise it is marked
    as failed; the reason quotes the exit code and the last lines of standard error. Background processes that the
    command leaves behind are waited for if it succeeded, and terminated if not. The environment of the command contains
    PARTITION_REGISTRY_SOURCE, _PROVIDER, _START, _END, _GENERATION and _HOLDER.

    Signals are passed on. A command that was told to stop, by a signal or because its lock was lost, does not count as
    successful even if it exits with 0.
    """
    options = context.ensure_object(Options)
    options.require_url()
    reporter = Reporter(as_json, verbose or as_json or _is_terminal())
    program = shutil.which(command[0])
    if program is None:
        code = 126 if _is_there(command[0]) else 127
        told = f"{command[0]!r} {'cannot be executed' if code == 126 else 'is not found'}."
        reporter.warn("no_command", told)
        context.exit(code)
    terms = Terms(
        lease=lease,
        exclusive=exclusive,
        wait_for=timeout if on_conflict == "wait" else None,
        grace=grace,
        retry_for=retry_for,
        stderr_lines=stderr_lines,
    )
    key = PartitionKey(source_name, provider_name, interval)
    writer = Holder(_identity() if holder is None else holder, _details(command[0]))
    with options.open_store(STORE_THREADS) as store:
        context.exit(Run(store, key, writer, program, command, terms, reporter).execute())


def _identity() -> str:
    """An identity for this run alone. Containers restart with the same name and process id but must not share locks."""
    return f"{host_name()}/{os.getpid()}/{secrets.token_hex(4)}"


def _details(program: str) -> dict[str, str]:
    """The holder's details. They leave out the arguments, which may contain secrets."""
    details = {**about_us(), "pid": str(os.getpid()), "command": Path(program).name}
    return {name: _as_text(value) for name, value in details.items()}


def _as_text(name: str) -> str:
    """Make text of the name of a file, host or user, which may contain any bytes."""
    return os.fsencode(name).decode(errors="replace")


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _is_there(program: str) -> bool:
    """Whether a program that cannot be executed exists at least, where a shell would look for it."""
    folders = [""] if os.path.dirname(program) else os.get_exec_path()
    return bool(program) and any(os.path.exists(os.path.join(each, program)) for each in folders)
