"""When a wait for readiness ends, and what is still missing: one policy for tasks, service and command line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from airflow_provider_partition_registry.domain.errors import UnknownSourceError
from airflow_provider_partition_registry.domain.explanation import explain
from airflow_provider_partition_registry.domain.models import PartitionState
from airflow_provider_partition_registry.domain.questions import Answer, Readiness

OnFailed = Literal["wait", "fail"]
OnMissingSource = Literal["wait", "fail"]


class WaitOutcome(StrEnum):
    """What the answers mean for the caller that waits.

    ``PARTIAL``: as much is ready as is asked for, but not everything.
    """

    READY = "ready"
    PARTIAL = "partial"
    NOT_YET = "not yet"
    WRITE_FAILED = "write failed"
    SOURCE_MISSING = "source missing"


@dataclass(frozen=True, slots=True)
class WaitPolicy:
    """What ends a wait besides readiness.

    :param on_failed: "fail" if a failed write ends the wait, "wait" to wait for its repair.
    :param on_missing_source: "fail" if an unregistered source ends the wait, "wait" to wait for it.
    """

    on_failed: OnFailed = "wait"
    on_missing_source: OnMissingSource = "fail"

    def judge(self, answers: Sequence[Answer]) -> WaitOutcome:
        """What the answers to all questions of the wait mean."""
        if self.on_missing_source == "fail" and missing_sources(answers):
            return WaitOutcome.SOURCE_MISSING
        if self.on_failed == "fail" and failed_writes(answers):
            return WaitOutcome.WRITE_FAILED
        return WaitOutcome.READY if are_ready(answers) else WaitOutcome.NOT_YET


def are_ready(answers: Iterable[Answer]) -> bool:
    """Whether the answer to every question is yes."""
    return all(isinstance(answer, Readiness) and answer.is_ready for answer in answers)


def missing_sources(answers: Iterable[Answer]) -> list[UnknownSourceError]:
    """The answers about sources that are not registered."""
    return [answer for answer in answers if isinstance(answer, UnknownSourceError)]


def failed_writes(answers: Iterable[Answer]) -> list[Readiness]:
    """The answers that have a failed write among their reasons."""
    return [
        answer
        for answer in answers
        if isinstance(answer, Readiness)
        and any(blocker.state is PartitionState.FAILED for blocker in answer.blockers)
    ]


def explain_missing(answers: Iterable[Answer]) -> str:
    """Why not everything is ready yet; empty if it is."""
    return "\n".join(explain(answer) for answer in answers if not are_ready([answer]))
