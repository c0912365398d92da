"""``wait``: wait until intervals may be read."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from airflow_provider_partition_registry.cli.errors import ExitCode
from airflow_provider_partition_registry.cli.instants import (
    DurationType,
    InstantType,
    given_timezone,
    interval_options,
    now_of,
)
from airflow_provider_partition_registry.cli.options import Options, common_options
from airflow_provider_partition_registry.cli.output import show, tell
from airflow_provider_partition_registry.domain.awaiting import Awaited, PartAnswer, Verdict
from airflow_provider_partition_registry.domain.errors import StoreUnavailableError
from airflow_provider_partition_registry.domain.explanation import explain
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.questions import Question, Readiness
from airflow_provider_partition_registry.domain.waiting import (
    OnFailed,
    OnMissingSource,
    WaitOutcome,
    WaitPolicy,
    missing_sources,
)

if TYPE_CHECKING:
    from airflow_provider_partition_registry.domain.questions import Answer
    from airflow_provider_partition_registry.store.poller import Poller

STORE_THREADS = 2  # one asks, one listens

EPILOG = """\b
Examples:
  partition-registry wait sales --start yesterday --grain day --timeout 2h && ./report.sh
  partition-registry wait sales stock --start -1d --end today --on-failed fail
  partition-registry wait --condition 'all(sales, clicks else 95% after 30m)' --start yesterday --grain day

\b
Exit codes:
  0  everything is ready, or the condition is met; standard error says what is missing all the same
  1  a write failed, and --on-failed is fail
  3  timed out; standard error says what is missing
  4  no such source, and --on-missing-source is fail
Others as in partition-registry --help. While the registry is unavailable, the wait goes on.
"""


@dataclass(frozen=True, slots=True)
class Waited:
    """What ``wait --json`` prints; it has no answer for sources that are not registered."""

    is_ready: bool
    answers: tuple[Readiness, ...]


@dataclass(frozen=True, slots=True)
class WaitedForCondition:
    """What ``wait --condition --json`` prints.

    :param is_partial: whether the condition is met, and something is missing all the same.
    :param answers: those that decided, or all that are known if it is not met.
    """

    is_met: bool
    is_partial: bool
    answers: tuple[PartAnswer, ...]


@click.command(epilog=EPILOG)
@click.argument("source_names", nargs=-1, metavar="[SOURCE...]")
@click.option(
    "--condition",
    metavar="TEXT",
    help="Instead of sources: what must be ready of several, such as 'all(sales, any(clicks, views), stock[-1 day])'.",
)
@interval_options
@click.option(
    "--timeout",
    type=DurationType(),
    default="1h",
    show_default=True,
    help="Give up after this long, with exit code 3.",
)
@click.option(
    "--published-after",
    type=InstantType(),
    help="Wait also until all of the interval was published at or after this instant.",
)
@click.option(
    "--on-failed",
    type=click.Choice(("wait", "fail")),
    default="wait",
    show_default=True,
    help="If a write failed: wait until it is repaired, or end with exit code 1.",
)
@click.option(
    "--on-missing-source",
    type=click.Choice(("wait", "fail")),
    default="fail",
    show_default=True,
    help="If a source is not registered: wait for it, or end with exit code 4.",
)
@click.option(
    "--poll-interval",
    type=DurationType(),
    default="5s",
    show_default=True,
    help="Ask at least this often. A registry in PostgreSQL also announces changes at once; SQLite does not.",
)
@click.option(
    "--verbose", is_flag=True, help="Report what is missing while waiting (the default on a terminal)."
)
@common_options
@click.pass_context
def wait(
    context: click.Context,
    source_names: tuple[str, ...],
    condition: str | None,
    interval: Interval,
    *,
    timeout: timedelta,
    published_after: datetime | None,
    on_failed: OnFailed,
    on_missing_source: OnMissingSource,
    poll_interval: timedelta,
    verbose: bool,
    as_json: bool,
) -> None:
    """Wait until an interval is ready.

    If several sources are given, all must be ready. Prints nothing on success, except on a terminal, or if a
    condition accepts that something is missing. If it gives up, standard error says what is missing.
    """
    if bool(source_names) == (condition is not None):
        raise click.UsageError("Give either sources or --condition")
    options = context.ensure_object(Options)
    options.require_url()
    policy = WaitPolicy(on_failed, on_missing_source)
    is_verbose = verbose or (sys.stderr is not None and sys.stderr.isatty())
    if condition is None:
        questions = (Question(name, interval, published_after) for name in source_names)
        waiting = _Waiting(Awaited.of_questions(questions, policy), is_verbose)
    else:
        awaited = _awaited(condition, interval, published_after, policy)
        waiting = _WaitingForCondition(awaited, is_verbose)
    # Opened only to look up names similar to a misspelt one; the poller opens a store of its own.
    with options.open_store():
        code = waiting.run(options, timeout.total_seconds(), poll_interval.total_seconds())
    if as_json:
        show(waiting.summary, str, as_json=True)
    elif code is not ExitCode.DONE:
        tell(f"{_ENDINGS[code]}\n{waiting.explanation}")
    elif waiting.is_verbose or waiting.verdict.outcome is WaitOutcome.PARTIAL:
        tell(waiting.explanation)
    context.exit(code)


def _awaited(
    condition: str, interval: Interval, published_after: datetime | None, policy: WaitPolicy
) -> Awaited:
    # Imported late, as calendars take longer than most calls do.
    from airflow_provider_partition_registry.domain.condition_text import read_condition
    from airflow_provider_partition_registry.domain.conditions import Occasion

    context = click.get_current_context()
    occasion = Occasion(interval, now_of(context), given_timezone(context), published_after)
    return Awaited(read_condition(condition).on(occasion), policy)


_ENDINGS = {
    ExitCode.NO: "A write failed, and --on-failed is fail.",
    ExitCode.TIMED_OUT: "Timed out.",
}


@dataclass(slots=True)
class _Waiting:
    """A wait for several sources, and what it has learnt so far."""

    awaited: Awaited
    is_verbose: bool
    verdict: Verdict = field(default_factory=lambda: Verdict(WaitOutcome.NOT_YET))
    _answers: Sequence[Answer] = ()
    _trouble: StoreUnavailableError | None = field(default=None)

    @property
    def known(self) -> tuple[Readiness, ...]:
        """The last answers."""
        return tuple(answer for answer in self._answers if isinstance(answer, Readiness))

    @property
    def summary(self) -> Any:
        """What ``--json`` prints."""
        return Waited(self.verdict.is_met, self.known)

    @property
    def explanation(self) -> str:
        """What the last answers say, and whether the registry has become unavailable since."""
        lines = self._explained()
        if self._trouble is not None:
            lines.append(str(self._trouble))
        return "\n".join(lines) or "The registry has not answered."

    def _explained(self) -> list[str]:
        return [explain(answer) for answer in self._answers]

    def run(self, options: Options, timeout: float, poll_interval: float) -> ExitCode:
        """Wait.

        :raises RegistryError: the wait cannot succeed.
        """
        # Imported late, as importing it takes longer than all of the help.
        import asyncio

        from airflow_provider_partition_registry.store.poller import Poller

        async def wait() -> ExitCode:
            poller = Poller(partial(options.new_store, STORE_THREADS))
            try:
                async with asyncio.timeout(timeout):
                    return await self._follow(poller, poll_interval)
            except TimeoutError:
                return ExitCode.TIMED_OUT

        return asyncio.run(wait())

    async def _follow(self, poller: Poller, poll_interval: float) -> ExitCode:
        from airflow_provider_partition_registry.store.awaiting import news_of

        async with aclosing(news_of(self.awaited, poller, poll_interval)) as updates:
            async for news in updates:
                self._trouble = news.trouble
                if news.answers is not None:
                    self._answers = news.answers
                    self.verdict = self.awaited.judge(news.answers, datetime.now(UTC))
                    match self.verdict.outcome:
                        case WaitOutcome.READY | WaitOutcome.PARTIAL:
                            return ExitCode.DONE
                        case WaitOutcome.WRITE_FAILED:
                            return ExitCode.NO
                        case WaitOutcome.SOURCE_MISSING:
                            raise missing_sources(news.answers)[0]
                if self.is_verbose:
                    tell(self.explanation)
        raise AssertionError("A poller goes on for ever.")  # pragma: no cover - only by an exception


@dataclass(slots=True)
class _WaitingForCondition(_Waiting):
    """A wait for a condition, and what it has learnt so far."""

    @property
    def summary(self) -> Any:
        """What ``--json`` prints."""
        answers = self.verdict.decided or tuple(map(PartAnswer.of, self.known))
        return WaitedForCondition(self.verdict.is_met, self.verdict.outcome is WaitOutcome.PARTIAL, answers)

    def _explained(self) -> list[str]:
        return [self.awaited.explain(self._answers, datetime.now(UTC))] if self._answers else []
