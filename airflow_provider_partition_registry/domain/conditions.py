"""Conditions over several sources, as they are said: what each of them asks depends on when and what it is asked for.

They are written as text (:mod:`~airflow_provider_partition_registry.domain.condition_text`) and become an
:class:`~airflow_provider_partition_registry.domain.awaiting.Awaited` once it is known for which interval somebody
waits, and since when.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from fractions import Fraction

from airflow_provider_partition_registry.domain.awaiting import (
    COMPLETE,
    AwaitedAll,
    AwaitedAlternative,
    AwaitedAny,
    AwaitedPart,
)
from airflow_provider_partition_registry.domain.grains import zone_named
from airflow_provider_partition_registry.domain.intervals import Interval, instant_after
from airflow_provider_partition_registry.domain.names import check_name
from airflow_provider_partition_registry.domain.questions import Question
from airflow_provider_partition_registry.domain.spans import Span, first_at


@dataclass(frozen=True, slots=True)
class Occasion:
    """For what a condition is asked.

    :param interval: the interval that its parts mean unless they say otherwise.
    :param began_at: when the wait began, from which periods of time count.
    :param timezone: the time zone of its calendar and of its times of day.
    :param published_after: ask of all parts also that they were published at or after this instant (R8).
    :raises InvalidInputError: there is no such time zone.
    """

    interval: Interval
    began_at: datetime
    timezone: str = "UTC"
    published_after: datetime | None = None

    def __post_init__(self) -> None:
        zone_named(self.timezone)


@dataclass(frozen=True, slots=True)
class Part:
    """An interval of one source.

    :param span: which interval, as seen from the occasion's; None for that itself.
    :param enough: what fraction of it has to be ready.
    :raises InvalidNameError: the name is not valid.
    """

    source_name: str
    span: Span | None = None
    enough: Fraction = COMPLETE

    def __post_init__(self) -> None:
        check_name("source name", self.source_name)

    def on(self, occasion: Occasion) -> AwaitedPart:
        """What it asks.

        :raises InvalidInputError: there is no such interval or instant.
        """
        interval = occasion.interval
        if self.span is not None:
            interval = self.span.seen_from(interval, occasion.timezone)
        return AwaitedPart(Question(self.source_name, interval, occasion.published_after), self.enough)


@dataclass(frozen=True, slots=True)
class AllOf:
    """All of several conditions."""

    conditions: tuple[Condition, ...]

    def on(self, occasion: Occasion) -> AwaitedAll:
        """What it asks.

        :raises InvalidInputError: there is no such interval or instant.
        """
        return AwaitedAll(tuple(each.on(occasion) for each in self.conditions))


@dataclass(frozen=True, slots=True)
class Alternative:
    """One of several conditions of which one is enough.

    :param after: from when on it counts: a period after the beginning of the wait, or a time of day. The latter is the
        first one after the end of what the first alternative asks for, in whose place the others are; so it does not
        depend on who waits, nor since when. None if it always counts.
    """

    condition: Condition
    after: timedelta | time | None = None


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of several conditions: the first that is met of those that count."""

    alternatives: tuple[Alternative, ...]

    def on(self, occasion: Occasion) -> AwaitedAny:
        """What it asks.

        :raises InvalidInputError: there is no such interval or instant.
        """
        conditions = [each.condition.on(occasion) for each in self.alternatives]
        end = max(part.question.interval.end for part in conditions[0].parts())
        return AwaitedAny(
            tuple(
                AwaitedAlternative(condition, _instant(each.after, occasion, end))
                for condition, each in zip(conditions, self.alternatives, strict=True)
            )
        )


Condition = Part | AllOf | AnyOf


def _instant(after: timedelta | time | None, occasion: Occasion, end: datetime) -> datetime | None:
    if after is None:
        return None
    if isinstance(after, timedelta):
        return instant_after(occasion.began_at, after, "time after which an alternative counts")
    return first_at(after, end, occasion.timezone)
