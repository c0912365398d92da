"""What a reading task asks the registry, and what it concludes from the answers, in every mode of the sensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.domain.explanation import explain
from airflow_provider_partition_registry.domain.grains import Grain
from airflow_provider_partition_registry.domain.intervals import Instant
from airflow_provider_partition_registry.domain.questions import Answer, Question, Readiness
from airflow_provider_partition_registry.domain.waiting import (
    OnFailed,
    OnMissingSource,
    WaitOutcome,
    WaitPolicy,
    failed_writes,
    missing_sources,
)
from airflow_provider_partition_registry.runtime.answers import as_result
from airflow_provider_partition_registry.runtime.errors import UpstreamFailedError
from airflow_provider_partition_registry.runtime.interval import interval_of_run

Requirement = str | Mapping[str, Any]
"""A source's name, or a mapping with ``source_name`` and, if they differ from the task's, ``start``, ``end`` and
``published_after``."""


@dataclass(kw_only=True, eq=False, repr=False)
class WaitParameters:
    """A reading task's parameters of a wait. The sensor documents them; its trigger inherits them."""

    source_name: str | None = None
    requires: Sequence[Requirement] | None = None
    start: Instant | None = None
    end: Instant | None = None
    published_after: Instant | None = None
    grain: Grain | None = None
    timezone: str = "UTC"
    on_failed: OnFailed = "wait"
    on_missing_source: OnMissingSource = "fail"

    @classmethod
    def of_task(cls, task: Any) -> WaitParameters:
        """Read the parameters of whoever has attributes of the same names; those that it lacks are as by default."""
        names = (each.name for each in fields(cls))
        return cls(**{name: getattr(task, name) for name in names if hasattr(task, name)})


@dataclass(frozen=True)
class Wait:
    """What a task waits for, and what ends the wait besides readiness.

    :param is_single: whether one source was given by name, so that the result is one answer and not a list.
    """

    questions: tuple[Question, ...]
    is_single: bool
    policy: WaitPolicy

    @classmethod
    def of_run(cls, context: Mapping[str, Any], parameters: WaitParameters) -> Wait:
        """Combine a task's parameters with its run.

        :raises InvalidInputError: they do not say what to wait for.
        """
        if bool(parameters.source_name) == bool(parameters.requires):
            raise InvalidInputError("Give either source_name or requires, and not both.")
        if isinstance(parameters.requires, (str, Mapping)):
            raise InvalidInputError(
                f"requires is a list of requirements, not {parameters.requires!r}. A template renders to text unless "
                f"its DAG has render_template_as_native_obj=True."
            )
        shared = {
            "start": parameters.start,
            "end": parameters.end,
            "published_after": parameters.published_after,
        }
        questions = []
        for requirement in parameters.requires or [{"source_name": parameters.source_name}]:
            wanted = {**shared, **_named(requirement)}
            interval = interval_of_run(
                context,
                start=wanted["start"],
                end=wanted["end"],
                grain=parameters.grain,
                timezone=parameters.timezone,
            )
            if wanted["published_after"] == "":
                raise InvalidInputError("published_after is empty: its template rendered to nothing.")
            questions.append(Question(wanted["source_name"], interval, wanted["published_after"]))
        policy = WaitPolicy(parameters.on_failed, parameters.on_missing_source)
        return cls(tuple(questions), not parameters.requires, policy)

    def result(self, answers: Sequence[Answer]) -> Any:
        """The task's result if everything is ready, or None while it is not.

        :raises UnknownSourceError: a source does not exist, and the task does not wait for it.
        :raises UpstreamFailedError: a write failed, and the task does not wait for its repair.
        """
        outcome = self.policy.judge(answers)
        if outcome is WaitOutcome.SOURCE_MISSING:
            raise missing_sources(answers)[0]
        if outcome is WaitOutcome.WRITE_FAILED:
            why = explain(failed_writes(answers)[0])
            raise UpstreamFailedError(f"A write failed upstream, and on_failed is 'fail'. {why}")
        if outcome is WaitOutcome.NOT_YET:
            return None
        found = [as_result(answer) for answer in answers if isinstance(answer, Readiness)]
        return found[0] if self.is_single else found


def _named(requirement: Requirement) -> Mapping[str, Any]:
    if isinstance(requirement, str):
        return {"source_name": requirement}
    known = {"source_name", "start", "end", "published_after"}
    if not isinstance(requirement, Mapping) or "source_name" not in requirement or requirement.keys() - known:
        raise InvalidInputError(
            f"A requirement is a source's name, or a mapping with source_name and, if need be, start, end and "
            f"published_after; not {requirement!r}."
        )
    return requirement
