"""How a question about readiness is answered: rules R1, R2 and R8 as one function over values."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from airflow_provider_partition_registry.domain.intervals import Interval, clip, difference
from airflow_provider_partition_registry.domain.models import Partition
from airflow_provider_partition_registry.domain.questions import Question, Readiness


def assess(
    question: Question,
    *,
    as_of: int,
    published: Collection[Interval],
    blockers: Iterable[Partition] = (),
    fresh: Iterable[Interval] = (),
) -> Readiness:
    """Answer a question.

    :param as_of: position in the source's history that the other arguments belong to.
    :param published: intervals whose union, inside the question, is that of the source's ready partitions.
    :param blockers: the locked, expired or failed partitions that overlap the question.
    :param fresh: like ``published``, but only of partitions published at or after ``question.published_after``;
        used only if the question has one.
    """
    gaps = difference([question.interval], published)
    covered = () if question.published_after is None else clip(published, question.interval)
    stale = difference(covered, fresh)
    in_order = tuple(sorted(blockers, key=lambda blocker: (blocker.interval, blocker.provider_name)))
    return Readiness(
        question=question,
        is_ready=not (gaps or stale or in_order),
        as_of=as_of,
        gaps=gaps,
        blockers=in_order,
        stale=stale,
    )
