"""Retrying what somebody else's lock or an outage prevents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from airflow_provider_partition_registry.cli.job.background import in_background
from airflow_provider_partition_registry.cli.job.inbox import (
    ENDING_SIGNALS,
    CallReturned,
    Inbox,
    Message,
    SignalReceived,
)
from airflow_provider_partition_registry.cli.job.reporting import Reporter
from airflow_provider_partition_registry.domain.errors import RegistryError, StoreUnavailableError
from airflow_provider_partition_registry.store.host_clock import now

T = TypeVar("T")

FIRST_PAUSE = 0.5  # seconds
LONGEST_PAUSE = 5.0
LAST_MOMENT = 0.5  # seconds more for a running call, as it is better to know its outcome


class GivenUpError(Exception):
    """Retrying was given up.

    :param cause: what prevented it last.
    :param signum: the signal that asked us to end; None if the time was over.
    """

    def __init__(self, cause: RegistryError, signum: int | None) -> None:
        super().__init__(cause.message)
        self.cause = cause
        self.signum = signum


class NoResponseError(StoreUnavailableError):
    """A call that may still take effect was given up."""


@dataclass(frozen=True, slots=True)
class Retrying:
    """How long to retry, and after which errors. It ends in time even if the registry does not respond.

    :param passing: errors that may pass with time.
    :param code: what retrying is called, for programs.
    :param consequence: a sentence that says so.
    """

    limit: timedelta
    passing: tuple[type[RegistryError], ...]
    code: str
    consequence: str

    def run(self, call: Callable[[], T], inbox: Inbox, reporter: Reporter) -> T:
        """Call until it succeeds, and report each new reason why it does not.

        :raises GivenUpError: the time is over, or a signal asks us to end.
        """
        give_up_at = now() + self.limit.total_seconds()
        pause, told = FIRST_PAUSE, ""
        while True:
            try:
                return _answer(call, give_up_at, inbox)
            except self.passing as error:
                if error.message != told:
                    told = error.message
                    reporter.inform(self.code, f"{told} {self.consequence}")
                rest = give_up_at - now()
                signum = inbox.ending_signal(min(pause, rest)) if rest > 0 else None
                if rest <= 0 or signum is not None:
                    raise GivenUpError(error, signum) from error
            pause = min(pause * 2, LONGEST_PAUSE)


def _answer(call: Callable[[], T], give_up_at: float, inbox: Inbox) -> T:
    """What a call returns or raises.

    :raises GivenUpError: the call does neither before the time is over or a signal asks us to end.
    """
    answer = in_background(call)
    answer.add_done_callback(lambda _: inbox.put(CallReturned()))
    met: list[Message] = []
    signum, limit = None, give_up_at + LAST_MOMENT
    while not isinstance(message := inbox.next(limit - now()), CallReturned):
        if message is not None:
            met.append(message)
        elif now() >= limit:
            raise GivenUpError(NoResponseError("The registry has not answered."), signum)
        if isinstance(message, SignalReceived) and message.signum in ENDING_SIGNALS:
            signum, limit = message.signum, min(limit, now() + LAST_MOMENT)
    for each in met:  # they matter to the next reader of the inbox
        inbox.put(each)
    return answer.result()
