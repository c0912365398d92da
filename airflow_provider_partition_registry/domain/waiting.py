"""When a wait for readiness is over, and what is still missing: one policy for tasks, service and command line."""

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
    """What answers mean for who waits."""

    READY = "ready"
    NOT_YET = "not yet"
    WRITE_FAILED = "write failed"
    SOURCE_MISSING = "source missing"


@dataclass(frozen=True, slots=True)
class WaitPolicy:
    """What ends a wait besides readiness.

    :param on_failed: "fail" where a failed write ends it, "wait" where its repair is waited for.
    :param on_missing_source: "fail" where a source that is not registered ends it, "wait" where it is waited for.
    """

    on_failed: OnFailed = "wait"
    on_missing_source: OnMissingSource = "fail"

    def judge(self, answers: Sequence[Answer]) -> WaitOutcome:
        """What the answers to all that is waited for mean."""
        if self.on_missing_source == "fail" and missing_sources(answers):
            return WaitOutcome.SOURCE_MISSING
        if self.on_failed == "fail" and failed_writes(answers):
            return WaitOutcome.WRITE_FAILED
        return WaitOutcome.READY if are_ready(answers) else WaitOutcome.NOT_YET


def are_ready(answers: Iterable[Answer]) -> bool:
    """Whether every question is answered with yes."""
    return all(isinstance(answer, Readiness) and answer.is_ready for answer in answers)


def missing_sources(answers: Iterable[Answer]) -> list[UnknownSourceError]:
    """The answers about sources that are not registered."""
    return [answer for answer in answers if isinstance(answer, UnknownSourceError)]


def failed_writes(answers: Iterable[Answer]) -> list[Readiness]:
    """The answers that a failed write is among the reasons of."""
    return [
        answer
        for answer in answers
        if isinstance(answer, Readiness)
        and any(blocker.state is PartitionState.FAILED for blocker in answer.blockers)
    ]


def explain_missing(answers: Iterable[Answer]) -> str:
    """Why not everything is ready yet; empty if it is."""
    return "\n".join(explain(answer) for answer in answers if not are_ready([answer]))
