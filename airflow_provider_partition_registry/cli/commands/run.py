"""``run``: a command under a lock, for cron and Kubernetes."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from datetime import timedelta
from pathlib import Path

import click

from airflow_provider_partition_registry.cli.instants import DurationType, interval_options
from airflow_provider_partition_registry.cli.job.run import Run, Terms
from airflow_provider_partition_registry.cli.job.telling import Teller
from airflow_provider_partition_registry.cli.options import Settings, about_us, common_options, host_name
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import Holder, PartitionKey

STORE_THREADS = 3  # one waits for news, one renews the lease, one finishes

EPILOG = """\b
Example:
  partition-registry run --source sales --provider nightly-load --start yesterday --grain day -- ./load.sh

\b
Exit codes:
  the command's own; 128+n if signal n ended it
    2, 4, 6, 7  as in partition-registry --help: nothing was run
    3  waited too long for somebody else's lock: nothing was run
    5  locked by somebody else: nothing was run; or the lock was lost meanwhile
    7  also: the command succeeded, but the registry does not answer any more
  126, 127  the command is not executable, is not found: nothing was locked; or it cannot be started for another
            reason, such as a missing interpreter: marked as failed
A message on standard error says which of them it is.
"""


@click.command(
    epilog=EPILOG,
    context_settings={"allow_interspersed_args": False},
    short_help="Run a command under a lock; publish if it succeeds.",
)
@click.option("--source", "source_name", metavar="SOURCE", required=True, help="Where it writes.")
@click.option("--provider", "provider_name", metavar="PROVIDER", required=True, help="Who writes.")
@interval_options
@click.option(
    "--lease",
    type=DurationType(),
    default="15m",
    show_default=True,
    metavar="DURATION",
    help="How long after this process vanishes others may take the lock over. Renewed while the command runs.",
)
@click.option(
    "--holder",
    metavar="IDENTITY",
    help="What tells this run from others; a retry with the same identity goes on at once. By default every run has "
    "its own, made of host, process and a random number.",
)
@click.option("--exclusive", is_flag=True, help="Keep all providers of the source out of the interval.")
@click.option(
    "--on-conflict",
    type=click.Choice(("fail", "wait")),
    default="fail",
    show_default=True,
    help="When somebody else holds the lock: end, or wait for it, woken by the registry where it tells of changes, "
    "else asking every few seconds. Who waits also waits for the registry to answer.",
)
@click.option(
    "--timeout",
    type=DurationType(),
    default="1h",
    show_default=True,
    metavar="DURATION",
    help="With --on-conflict wait: for how long.",
)
@click.option(
    "--grace",
    type=DurationType(),
    default="10s",
    show_default=True,
    metavar="DURATION",
    help="How long a command that is told to end may take before it is killed; less where its lease ends before.",
)
@click.option(
    "--retry-for",
    type=DurationType(),
    default="5m",
    show_default=True,
    metavar="DURATION",
    help="How long to go on trying to tell the registry how the command ended.",
)
@click.option(
    "--stderr-lines",
    type=click.IntRange(0, 100),
    default=10,
    show_default=True,
    metavar="N",
    help="How many of its last lines on standard error the reason of a failure quotes, for everybody to read.",
)
@click.option("--verbose", is_flag=True, help="Say also what goes well; on a terminal this is the default.")
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

    Registers the partition if need be and locks it; publishes it if the command ends with 0, else marks it as failed
    with the exit code and the last lines of standard error as the reason. What the command left running is waited for
    first if it succeeded, else ended. The command finds in its environment PARTITION_REGISTRY_SOURCE, _PROVIDER,
    _START, _END, _GENERATION and _HOLDER.

    Signals are passed on. A command that is told to end, here or because the lock was lost, is not taken for finished
    even if it ends with 0.
    """
    settings = context.ensure_object(Settings)
    settings.require_url()
    teller = Teller(as_json, verbose or as_json or _is_terminal())
    program = shutil.which(command[0])
    if program is None:
        code = 126 if _is_there(command[0]) else 127
        told = f"{command[0]!r} {'cannot be executed' if code == 126 else 'is not found'}."
        teller.warn("no_command", told)
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
    with settings.open_store(STORE_THREADS) as store:
        context.exit(Run(store, key, writer, program, command, terms, teller).execute())


def _identity() -> str:
    """Of this run alone: containers are restarted under the same name and number, and must not share a lock."""
    return f"{host_name()}/{os.getpid()}/{secrets.token_hex(4)}"


def _details(program: str) -> dict[str, str]:
    """Not the arguments, which may hold secrets."""
    details = {**about_us(), "pid": str(os.getpid()), "command": Path(program).name}
    return {name: _as_text(value) for name, value in details.items()}


def _as_text(name: str) -> str:
    """Names of files, hosts and users may hold any bytes."""
    return os.fsencode(name).decode(errors="replace")


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _is_there(program: str) -> bool:
    """Whether a program that cannot be executed is found at least, where a shell would look for it."""
    folders = [""] if os.path.dirname(program) else os.get_exec_path()
    return bool(program) and any(os.path.exists(os.path.join(each, program)) for each in folders)
