"""Whether data was rewritten after it was read (R7), and what the history says of it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from airflow_provider_partition_registry.domain.errors import GonePositionError, InvalidInputError
from airflow_provider_partition_registry.domain.explanation import SHOWN_AT_MOST
from airflow_provider_partition_registry.domain.questions import Readiness
from airflow_provider_partition_registry.domain.rewriting import explain_rewriting, rewrites
from airflow_provider_partition_registry.store.contract import RegistryReader
from airflow_provider_partition_registry.store.paging import all_items

EVENTS_READ_AT_MOST = 10_000
"""How far the history is searched for who rewrote the data; of a source that is written often it may be long."""


def was_rewritten(store: RegistryReader, answer: Readiness) -> bool:
    """Whether anything that the answer is about was rewritten after it.

    :raises UnknownSourceError: no such source.
    """
    return store.changed_since(answer.question.source_name, answer.question.interval, answer.as_of)


def explain_rewritten(store: RegistryReader, answers: Iterable[Readiness]) -> str:
    """Say what was rewritten after the answers about it, by whom and when; empty if nothing was.

    :raises UnknownSourceError: no such source.
    """
    rewritten = [answer for answer in answers if was_rewritten(store, answer)]
    texts = [_explanation(store, answer) for answer in rewritten[:SHOWN_AT_MOST]]
    if len(rewritten) > SHOWN_AT_MOST:
        texts.append(f"And {len(rewritten) - SHOWN_AT_MOST} more were rewritten.")
    return "\n".join(texts)


def _explanation(store: RegistryReader, answer: Readiness) -> str:
    source_name, interval = answer.question.source_name, answer.question.interval
    events = all_items(
        lambda after, limit: store.events(answer.as_of if after is None else after, source_name, limit)
    )
    try:
        found = [event for event in islice(events, EVENTS_READ_AT_MOST) if rewrites(event, interval)]
    except (GonePositionError, InvalidInputError) as error:
        return f"{explain_rewriting(answer, ())} The history does not say how. {error}"
    if not found:
        return f"{explain_rewriting(answer, ())} The next {EVENTS_READ_AT_MOST:,} events of its source do not say how."
    return explain_rewriting(answer, found)
