"""Trying again what somebody else's lock or an outage prevents."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from airflow_provider_partition_registry.cli.job.events import Events
from airflow_provider_partition_registry.cli.job.telling import Teller
from airflow_provider_partition_registry.domain.errors import RegistryError

T = TypeVar("T")

FIRST_PAUSE = 0.5  # seconds
LONGEST_PAUSE = 5.0


class GivenUpError(Exception):
    """What was to be done was not done.

    :param cause: what prevented it last.
    :param signum: the signal by which somebody wanted us to end; None if the time was over.
    """

    def __init__(self, cause: RegistryError, signum: int | None) -> None:
        super().__init__(cause.message)
        self.cause = cause
        self.signum = signum


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to try, and for what.

    :param passing: errors that time may cure.
    :param code: what trying again is called, for programs.
    :param consequence: a sentence that tells of it.
    """

    limit: timedelta
    passing: tuple[type[RegistryError], ...]
    code: str
    consequence: str

    def persist(self, call: Callable[[], T], events: Events, teller: Teller) -> T:
        """Call until it succeeds; tell of each new reason why not.

        :raises GivenUpError: the time is over, or somebody wants us to end.
        """
        give_up_at = time.monotonic() + self.limit.total_seconds()
        pause, told = FIRST_PAUSE, ""
        while True:
            try:
                return call()
            except self.passing as error:
                if error.message != told:
                    told = error.message
                    teller.inform(self.code, f"{told} {self.consequence}")
                rest = give_up_at - time.monotonic()
                signum = events.ending_signal(min(pause, rest)) if rest > 0 else None
                if rest <= 0 or signum is not None:
                    raise GivenUpError(error, signum) from error
            pause = min(pause * 2, LONGEST_PAUSE)
