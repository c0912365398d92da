"""Strict reading of calls to the versioned API: ambiguous and unknown input is refused.

If a misspelt ``published_after`` were ignored, old data would be called ready.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.server.waiting.bulkheads import BulkheadRoute


class StrictRequest(Request):
    """A request whose JSON must be UTF-8, and must not name anything twice."""

    async def json(self) -> Any:
        """Read the body.

        :raises HTTPException: it could be read in more than one way.
        :raises json.JSONDecodeError: it is not JSON.
        """
        return _read(await self.body())


class StrictRoute(APIRoute):
    """A route that reads the query and the body strictly."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the usual handler."""
        handle = super().get_route_handler()
        known = _query_parameters(self.dependant)

        async def handle_strictly(request: Request) -> Response:
            if unknown := request.query_params.keys() - known:
                names = ", ".join(map(repr, sorted(unknown)))
                raise InvalidInputError(
                    f"{self.path} has no parameter {names}. Its parameters are: {', '.join(sorted(known)) or 'none'}."
                )
            return await handle(StrictRequest(request.scope, request.receive))

        return handle_strictly


class WritingRoute(StrictRoute, BulkheadRoute):
    """A strict route whose writes take one of the writers' threads."""


def _query_parameters(dependant: Dependant) -> set[str]:
    """The names of those that a route and all its dependencies take."""
    own = {each.alias for each in dependant.query_params}
    return own.union(*map(_query_parameters, dependant.dependencies))


def _read(body: bytes) -> Any:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise HTTPException(400, "the body is no UTF-8") from None
    return json.loads(text, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        # Some programs take the first value, and some the last.
        raise HTTPException(400, "the body gives one of its values twice, under the same name")
    return found
