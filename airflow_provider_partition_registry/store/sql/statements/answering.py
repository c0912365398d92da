"""Answering questions, all as of one moment (R2)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection

from airflow_provider_partition_registry.domain.errors import UnknownSourceError
from airflow_provider_partition_registry.domain.questions import Answer, Question, Readiness
from airflow_provider_partition_registry.domain.readiness import assess
from airflow_provider_partition_registry.store.sql.database.clock import TellTime
from airflow_provider_partition_registry.store.sql.statements.questions import NumberedQuestion
from airflow_provider_partition_registry.store.sql.statements.readiness import (
    ARE_READY,
    EXPLAIN,
    EXPLAIN_FRESHNESS,
)
from airflow_provider_partition_registry.store.sql.statements.rows import to_intervals, to_partition


def answer(
    connection: Connection,
    questions: Sequence[Question],
    tell_time: TellTime,
    asked_at: datetime | None,
    *,
    explain: bool,
) -> list[Answer]:
    """Answer questions, at most ``AT_ONCE`` of them.

    :param asked_at: the present, if it is not the database that tells the time.

    Each statement answers all questions by itself. So the answers belong to one moment without a transaction: if some
    have to be explained, the explanation answers the others again and the probe's answers are dropped.
    """
    numbered = list(enumerate(questions))
    answers = _probe(connection, numbered) if all(map(_is_plain, questions)) else None
    if answers is None or (explain and not all(each.is_ready for each in answers.values())):
        answers = _look_closely(connection, numbered, tell_time, asked_at, explain)
    return [answers[n] if n in answers else UnknownSourceError(asked.source_name) for n, asked in numbered]


def _is_plain(question: Question) -> bool:
    return question.published_after is None


def _probe(connection: Connection, numbered: Sequence[NumberedQuestion]) -> dict[int, Readiness]:
    rows = ARE_READY.ask(connection, numbered)
    asked = dict(numbered)
    as_of = {asked[row.n].source_name: row.as_of for row in rows if row.as_of is not None}
    return {
        row.n: Readiness(asked[row.n], bool(row.is_ready), as_of[asked[row.n].source_name]) for row in rows
    }


def _look_closely(
    connection: Connection,
    numbered: Sequence[NumberedQuestion],
    tell_time: TellTime,
    asked_at: datetime | None,
    explain: bool,
) -> dict[int, Readiness]:
    statement = EXPLAIN if all(_is_plain(asked) for _, asked in numbered) else EXPLAIN_FRESHNESS
    sources: dict[str, Any] = {}
    found: defaultdict[int, defaultdict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for row in statement.ask(connection, numbered, explain=explain, asked_at=asked_at):
        if row.kind == "source":
            sources[row.source_name] = row
        else:
            found[row.n][row.kind].append(row)
    return {
        n: _to_readiness(asked, sources[asked.source_name], found[n], tell_time)
        for n, asked in numbered
        if asked.source_name in sources
    }


def _to_readiness(
    asked: Question, its_source: Any, rows: Mapping[str, list[Any]], tell_time: TellTime
) -> Readiness:
    for row in rows["settled"]:
        return Readiness(asked, bool(row.is_ready), its_source.as_of)
    now = tell_time(its_source.now)
    return assess(
        asked,
        as_of=its_source.as_of,
        published=to_intervals(rows["published"]),
        blockers=[to_partition(row, asked.source_name, row.provider_name, now) for row in rows["blocker"]],
        fresh=to_intervals(rows["fresh"]),
    )
