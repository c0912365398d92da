"""What a reading task asks the registry, and what it concludes from the answers, in every mode of the sensor."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.domain.explanation import explain
from airflow_provider_partition_registry.domain.grains import Grain
from airflow_provider_partition_registry.domain.intervals import (
    Instant,
    Interval,
    format_instant,
    to_instant,
)
from airflow_provider_partition_registry.domain.questions import Answer, Question, Readiness
from airflow_provider_partition_registry.domain.waiting import (
    OnFailed,
    OnMissingSource,
    WaitOutcome,
    WaitPolicy,
    explain_missing,
    failed_writes,
    missing_sources,
)
from airflow_provider_partition_registry.runtime.answers import as_result
from airflow_provider_partition_registry.runtime.errors import UpstreamFailedError
from airflow_provider_partition_registry.runtime.interval import interval_of_run

if TYPE_CHECKING:
    from airflow_provider_partition_registry.domain.awaiting import Awaited, PartAnswer
    from airflow_provider_partition_registry.domain.conditions import Occasion
    from airflow_provider_partition_registry.store.poller import Poller
    from airflow_provider_partition_registry.store.waiters import News

Requirement = str | Mapping[str, Any]
"""A source's name, or a mapping with ``source_name`` and, if they differ from the task's, ``start``, ``end`` and
``published_after``."""


@dataclass(kw_only=True, eq=False, repr=False)
class WaitParameters:
    """A reading task's parameters of a wait. The sensor documents them; its trigger inherits them."""

    source_name: str | None = None
    requires: Sequence[Requirement] | None = None
    condition: str | None = None
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


def wait_of_run(
    context: Mapping[str, Any], parameters: WaitParameters, began_at: datetime
) -> Wait | ConditionWait:
    """Combine a task's parameters with its run.

    :param began_at: when the wait began.
    :raises InvalidInputError: they do not say what to wait for.
    """
    if parameters.condition is None:
        return Wait.of_run(context, parameters)
    return ConditionWait.of_run(context, parameters, began_at)


@dataclass(frozen=True)
class Wait:
    """A wait for one or several sources, and what ends it besides readiness.

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
            _check_rendered("published_after", wanted["published_after"])
            questions.append(Question(wanted["source_name"], interval, wanted["published_after"]))
        policy = WaitPolicy(parameters.on_failed, parameters.on_missing_source)
        return cls(tuple(questions), not parameters.requires, policy)

    def result(self, answers: Sequence[Answer]) -> Any:
        """The task's result if everything is ready, or None while it is not.

        :raises UnknownSourceError: a source does not exist, and the task does not wait for it.
        :raises UpstreamFailedError: a write failed, and the task does not wait for its repair.
        """
        outcome = self.policy.judge(answers)
        _raise_if_hopeless(outcome, answers)
        if outcome is WaitOutcome.NOT_YET:
            return None
        found = [as_result(answer) for answer in answers if isinstance(answer, Readiness)]
        return found[0] if self.is_single else found

    def explain(self, answers: Sequence[Answer]) -> str:
        """Say what is missing, or that nothing is."""
        return explain_missing(answers) or "Ready."

    def news(self, poller: Poller, poll_interval: float) -> AsyncGenerator[News, None]:
        """Yield the answers now, and again whenever they change."""
        return poller.updates(self.questions, poll_interval)

    def arguments(self) -> dict[str, Any]:
        """The same wait as parameters in JSON, with everything filled in that only a run can tell."""
        requirements = [_as_requirement(question) for question in self.questions]
        return requirements[0] if self.is_single else {"requires": requirements}


@dataclass(frozen=True)
class ConditionWait:
    """A wait for a condition over several sources.

    :param text: the condition as it was written.
    """

    text: str
    occasion: Occasion
    awaited: Awaited

    @classmethod
    def of_run(
        cls, context: Mapping[str, Any], parameters: WaitParameters, began_at: datetime
    ) -> ConditionWait:
        """Combine a task's parameters with its run.

        :param began_at: when the wait began.
        :raises InvalidInputError: they do not say what to wait for.
        """
        from airflow_provider_partition_registry.domain.awaiting import Awaited
        from airflow_provider_partition_registry.domain.condition_text import read_condition
        from airflow_provider_partition_registry.domain.conditions import Occasion

        check_condition_stands_alone(parameters)
        _check_rendered("condition", parameters.condition)
        _check_rendered("published_after", parameters.published_after)
        condition = read_condition(parameters.condition or "")
        interval = interval_of_run(
            context,
            start=parameters.start,
            end=parameters.end,
            grain=parameters.grain,
            timezone=parameters.timezone,
        )
        after = parameters.published_after
        occasion = Occasion(
            interval, began_at, parameters.timezone, None if after is None else to_instant(after)
        )
        policy = WaitPolicy(parameters.on_failed, parameters.on_missing_source)
        return cls(parameters.condition or "", occasion, Awaited(condition.on(occasion), policy))

    @property
    def questions(self) -> tuple[Question, ...]:
        """All that has to be asked, at one moment."""
        return self.awaited.questions

    def result(self, answers: Sequence[Answer]) -> Any:
        """The task's result if the condition is met, or None while it is not.

        :raises UnknownSourceError: a source does not exist, and the task does not wait for it.
        :raises UpstreamFailedError: writes failed without which the condition cannot be met, and the task does not wait
            for their repair.
        """
        verdict = self.awaited.judge(answers, datetime.now(UTC))
        _raise_if_hopeless(verdict.outcome, answers)
        return [_as_part_result(each) for each in verdict.decided] if verdict.is_met else None

    def explain(self, answers: Sequence[Answer]) -> str:
        """Say what is missing, and what would be enough; or what decided."""
        return self.awaited.explain(answers, datetime.now(UTC))

    def news(self, poller: Poller, poll_interval: float) -> AsyncGenerator[News, None]:
        """Yield the answers now, and again whenever what they mean may have changed."""
        from airflow_provider_partition_registry.store.awaiting import news_of

        return news_of(self.awaited, poller, poll_interval)

    def arguments(self) -> dict[str, Any]:
        """The same wait as parameters in JSON, with everything filled in that only a run can tell."""
        after = self.occasion.published_after
        return {
            "condition": self.text,
            **_ends(self.occasion.interval),
            "timezone": self.occasion.timezone,
            "published_after": format_instant(after) if after else None,
        }


def check_condition_stands_alone(parameters: Any) -> None:
    """Make sure that a condition is not given together with what it takes the place of.

    :param parameters: a task's, or the task itself.
    :raises InvalidInputError: it is.
    """
    if parameters.source_name or parameters.requires:
        raise InvalidInputError(
            "A condition names all sources that are waited for: give neither source_name nor requires beside it."
        )


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


def _check_rendered(name: str, value: Any) -> None:
    if value == "":
        raise InvalidInputError(f"{name} is empty: its template rendered to nothing.")


def _raise_if_hopeless(outcome: WaitOutcome, answers: Sequence[Answer]) -> None:
    if outcome is WaitOutcome.SOURCE_MISSING:
        raise missing_sources(answers)[0]
    if outcome is WaitOutcome.WRITE_FAILED:
        why = explain(failed_writes(answers)[0])
        raise UpstreamFailedError(f"A write failed upstream, and on_failed is 'fail'. {why}")


def _as_requirement(question: Question) -> dict[str, Any]:
    after = question.published_after
    return {
        "source_name": question.source_name,
        **_ends(question.interval),
        "published_after": format_instant(after) if after else None,
    }


def _as_part_result(answer: PartAnswer) -> dict[str, Any]:
    return as_result(answer.readiness) | {
        "coverage": answer.coverage,
        "missing": [_ends(each) for each in answer.missing],
    }


def _ends(interval: Interval) -> dict[str, str]:
    return {"start": format_instant(interval.start), "end": format_instant(interval.end)}
