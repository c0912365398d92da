"""Answers about readiness as the result of a task (XCom), and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.domain.intervals import Interval, format_instant
from airflow_provider_partition_registry.domain.questions import Question, Readiness

Answers = Mapping[str, Any] | Sequence[Any]
"""The result of a task that asked whether data is ready: one answer, or a list of answers."""


def as_result(answer: Readiness) -> dict[str, Any]:
    """An answer as a part of a task's result."""
    return {
        "source_name": answer.question.source_name,
        "start": format_instant(answer.question.interval.start),
        "end": format_instant(answer.question.interval.end),
        "is_ready": answer.is_ready,
        "as_of": answer.as_of,
    }


def answers_of(result: Answers) -> list[Readiness]:
    """Read the answers in a task's result; that of a mapped task is a list of the results of its instances.

    :raises InvalidInputError: it holds no answers, or something else as well.
    """
    found = _answers_in(result)
    if not found:
        raise InvalidInputError(
            "There is no answer in the list: the task that should have asked had nothing to ask, was skipped, or does "
            "not store its result (do_xcom_push=False)."
        )
    return found


def _answers_in(result: Any) -> list[Readiness]:
    if isinstance(result, Mapping):
        return [_answer(result)]
    if isinstance(result, Sequence) and not isinstance(result, (str, bytes)):
        return [answer for each in result for answer in _answers_in(each)]
    if result is None:
        why = (
            "The task that should have asked was skipped, or does not store its result (do_xcom_push=False)."
        )
    else:
        why = "A template renders to text unless its DAG has render_template_as_native_obj=True."
    raise InvalidInputError(f"{_SHAPE}, not {result!r}. {why}")


def _answer(data: Mapping[str, Any]) -> Readiness:
    try:
        question = Question(data["source_name"], Interval(data["start"], data["end"]))
        return Readiness(question, data["is_ready"], data["as_of"])
    except KeyError as error:
        raise InvalidInputError(f"{_SHAPE}, and this one has no {error}: {dict(data)!r}.") from None


_SHAPE = "An answer has source_name, start, end, is_ready and as_of, as in the result of a PartitionReadinessSensor"
