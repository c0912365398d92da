"""A fast path for the most frequent question, around the overhead of the framework.

FastAPI's way from a query to a function's parameters takes longer than the answer. So a plain question, where anybody
may read, goes through a route of its own in front of the documented one: it is the same path, and the same answer.
Whatever has more to it, or something wrong with it, is left to the documented route.
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
from airflow_provider_partition_registry.server.service import Service

_ASKED = "partition_registry.asked"


class ExpressRoute(Route):
    """Answers plain readiness questions at a path.

    :param path: the documented route's; a source's name may be part of it.
    :param parameters: the names of the query parameters of a plain question.
    :param to_response: makes the response of an answer, or raises what is wrong.
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
        """Match plain questions alone."""
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
        return self._to_response(await run_in_threadpool(self._service.answer, question))
