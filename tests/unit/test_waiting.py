"""What ends a wait, and how it explains what is missing."""

from __future__ import annotations

import pytest

from airflow_provider_partition_registry.domain.errors import UnknownSourceError
from airflow_provider_partition_registry.domain.questions import Answer, Question, Readiness
from airflow_provider_partition_registry.domain.waiting import WaitOutcome, WaitPolicy, explain_missing
from tests.unit.values import hours, partition

QUESTION = Question("sales", hours(0, 1))
READY = Readiness(QUESTION, True, 7)
GAP = Readiness(QUESTION, False, 7, gaps=(QUESTION.interval,))
FAILED = Readiness(QUESTION, False, 7, blockers=(partition("failed", reason="disk full"),))
MISSING = UnknownSourceError("nowhere")


@pytest.mark.parametrize(
    ("on_failed", "on_missing_source", "answers", "outcome"),
    [
        ("wait", "fail", [READY, READY], WaitOutcome.READY),
        ("wait", "fail", [], WaitOutcome.READY),
        ("wait", "fail", [READY, GAP], WaitOutcome.NOT_YET),
        ("wait", "fail", [READY, FAILED], WaitOutcome.NOT_YET),
        ("fail", "fail", [READY, FAILED], WaitOutcome.WRITE_FAILED),
        ("fail", "fail", [READY, GAP], WaitOutcome.NOT_YET),
        ("wait", "fail", [READY, MISSING], WaitOutcome.SOURCE_MISSING),
        ("wait", "wait", [READY, MISSING], WaitOutcome.NOT_YET),
        ("fail", "wait", [FAILED, MISSING], WaitOutcome.WRITE_FAILED),
        ("fail", "fail", [FAILED, MISSING], WaitOutcome.SOURCE_MISSING),
    ],
)
def test_the_policy_judges_answers(
    on_failed: str, on_missing_source: str, answers: list[Answer], outcome: WaitOutcome
) -> None:
    assert WaitPolicy(on_failed, on_missing_source).judge(answers) is outcome  # type: ignore[arg-type]


def test_only_answers_that_are_not_ready_are_explained() -> None:
    assert explain_missing([READY]) == ""
    said = explain_missing([READY, GAP, MISSING])
    assert said.startswith("Not ready:")
    assert said.endswith(str(MISSING))
    assert "Ready:" not in said.splitlines()
