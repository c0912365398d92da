"""Routes that say whether an interval may be read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from airflow_provider_partition_registry.domain.awaiting import Awaited
from airflow_provider_partition_registry.domain.errors import UnknownSourceError
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.questions import Answer, Question, Readiness
from airflow_provider_partition_registry.domain.waiting import are_ready
from airflow_provider_partition_registry.server.access.permissions import PresentedToken, Token
from airflow_provider_partition_registry.server.aged import Reader
from airflow_provider_partition_registry.server.api.responses import respond, responses_of
from airflow_provider_partition_registry.server.api.strict import StrictRoute
from airflow_provider_partition_registry.server.observing.metrics import QUESTIONS, counted
from airflow_provider_partition_registry.server.openapi import examples
from airflow_provider_partition_registry.server.openapi.refusals import WITH_A_BODY
from airflow_provider_partition_registry.server.service import InService, Service
from airflow_provider_partition_registry.server.waiting.long_polling import (
    LONGEST_WAIT,
    is_final,
    wait_until_final,
    while_present,
)
from airflow_provider_partition_registry.store.contract import RegistryReader
from airflow_provider_partition_registry.store.wire.answers import (
    Answers,
    Changed,
    Problem,
    ReadinessOrProblem,
    error_to_data,
)
from airflow_provider_partition_registry.store.wire.conditions import ConditionAnswer, ConditionBody
from airflow_provider_partition_registry.store.wire.fields import End, PublishedAfter, SourceName, Start
from airflow_provider_partition_registry.store.wire.requests import QuestionsBody

router = APIRouter(route_class=StrictRoute, tags=["Readiness"])

WaitSeconds = Annotated[
    float,
    Query(
        ge=0,
        le=LONGEST_WAIT,
        description="Respond as soon as everything is ready, or after so many seconds with what is still missing.",
    ),
]


@router.get(
    "/readiness", response_model=Readiness, responses=responses_of(Readiness, examples.NOT_READY, 404)
)
async def check_readiness(
    request: Request,
    service: InService,
    reader: Reader,
    token: Token,
    source_name: SourceName,
    start: Start,
    end: End,
    published_after: PublishedAfter = None,
    wait_seconds: WaitSeconds = 0,
) -> Response:
    """Say whether ``[start, end)`` of a source may be read, and if not, exactly why (R1, R2)."""
    question = Question(source_name, Interval(start, end), published_after)  # type: ignore[arg-type]
    (found,) = await _ask(request, service, reader, token, [question], wait_seconds)
    return response_of(found)


def response_of(found: Answer) -> Response:
    """The response to one question.

    :raises UnknownSourceError: no such source.
    """
    if isinstance(found, UnknownSourceError):
        raise found
    return respond(Readiness, found)


@router.post(
    "/readiness",
    response_model=Answers,
    responses=responses_of(Answers, Answers((ReadinessOrProblem(examples.NOT_READY),)), *WITH_A_BODY),
)
async def check_readiness_many(
    request: Request,
    body: QuestionsBody,
    service: InService,
    reader: Reader,
    token: Token,
    wait_seconds: WaitSeconds = 0,
) -> Response:
    """Answer many questions for one moment, at little more than the cost of one (R2)."""
    questions = [each.question() for each in body.questions]
    found = await _ask(request, service, reader, token, questions, wait_seconds, explain=body.explain)
    return respond(Answers, Answers(tuple(_as_data(each) for each in found)))


@router.post(
    "/readiness/condition",
    response_model=ConditionAnswer,
    responses=responses_of(ConditionAnswer, examples.CONDITION_ANSWER, *WITH_A_BODY),
)
async def check_condition(
    request: Request,
    body: ConditionBody,
    service: InService,
    reader: Reader,
    token: Token,
    wait_seconds: WaitSeconds = 0,
) -> Response:
    """Say whether several sources may be read as far as a condition asks for it, all of them at one moment (R2).

    What is accepted although something is missing is called partial, and never ready. A condition that stands for a
    longer time than one request can wait is asked again with the ``began_at`` of the first request.
    """
    # In a thread, as a long condition would block the event loop for too long.
    awaited = await run_in_threadpool(body.awaited, datetime.now(UTC))
    found = await _ask(request, service, reader, token, awaited.questions, wait_seconds, awaited=awaited)
    return respond(ConditionAnswer, ConditionAnswer.of(awaited, found, datetime.now(UTC)))


@router.get("/changed-since", response_model=Changed, responses=responses_of(Changed, Changed(True), 404))
def changed_since(
    service: InService,
    token: Token,
    source_name: SourceName,
    start: Start,
    end: End,
    as_of: Annotated[int, Query(description="From an earlier answer about the same source.", examples=[4])],
) -> Response:
    """Say whether anything in ``[start, end)`` was locked, failed or republished after an earlier answer (R7)."""
    service.access.require_reader(token)
    return respond(Changed, Changed(service.store.changed_since(source_name, Interval(start, end), as_of)))


async def _ask(
    request: Request,
    service: Service,
    reader: RegistryReader,
    token: PresentedToken,
    questions: Sequence[Question],
    wait_seconds: float,
    *,
    explain: bool = True,
    awaited: Awaited | None = None,
) -> list[Answer]:
    """Ask, and wait if need be.

    :param awaited: the condition that the questions are of; None if everything must be ready.
    """

    def ask() -> list[Answer]:
        service.access.require_reader(token)
        return reader.check_readiness_many(questions, explain=explain)

    QUESTIONS.inc(len(questions))
    answers = await run_in_threadpool(ask)
    if wait_seconds and not is_final(answers, awaited):
        async with service.long_polls.limit(request, "readiness", wait_seconds), while_present(request):
            answers = await wait_until_final(service.poller, questions, awaited)
        if not (are_ready(answers) if awaited is None else awaited.judge(answers, datetime.now(UTC)).is_met):
            # They are not explained.
            answers = await run_in_threadpool(ask)
    return counted(answers)


def _as_data(found: Answer) -> ReadinessOrProblem:
    if isinstance(found, UnknownSourceError):
        return ReadinessOrProblem(error=Problem(**error_to_data(found)["error"]))
    return ReadinessOrProblem(readiness=found)
