"""A fast path for the most frequent question, which bypasses the framework's overhead.

FastAPI needs longer to turn a query into a function's parameters than the answer takes. So a plain question, where
anybody may read, is served by a route of its own in front of the documented one, with the same path and the same
answer. Questions with anything more or anything wrong in them are left to the documented route.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.questions import Answer, Question
from airflow_provider_partition_registry.server.aged import reader_for
from airflow_provider_partition_registry.server.service import Service

_ASKED = "partition_registry.asked"


class ExpressRoute(Route):
    """Answers plain readiness questions at a path.

    :param path: the documented route's; a source's name may be part of it.
    :param parameters: the names of the query parameters of a plain question.
    :param to_response: makes the response from an answer, or raises the answer's error.
    """

    def __init__(
        self,
        service: Service,
        path: str,
        parameters: frozenset[str],
        to_response: Callable[[Answer], Response],
    ) -> None:
        super().__init__(path, self._respond, methods=["GET"])
        self._service = service
        self._parameters = parameters
        self._to_response = to_response

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match only plain questions."""
        match, child_scope = super().matches(scope)
        if match is not Match.FULL or scope["method"] != "GET" or self._service.settings.has_private_reads:
            return Match.NONE, {}
        given = QueryParams(scope["query_string"])
        if given.keys() != self._parameters or len(given.multi_items()) != len(self._parameters):
            return Match.NONE, {}
        return match, {**child_scope, _ASKED: {**given, **child_scope["path_params"]}}

    async def _respond(self, request: Request) -> Response:
        asked: Mapping[str, Any] = request.scope[_ASKED]
        question = Question(asked["source_name"], Interval(asked["start"], asked["end"]))
        reader = reader_for(request, self._service)
        return self._to_response(await run_in_threadpool(self._service.answer, question, reader))
