"""Pages as responses of the service, and errors as pages."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute

from airflow_provider_partition_registry.domain.errors import (
    AccessDeniedError,
    InvalidInputError,
    RegistryError,
    TokenRequiredError,
)
from airflow_provider_partition_registry.pages.rendering import Site, View, content_security_policy, render
from airflow_provider_partition_registry.pages.views import tell_problem
from airflow_provider_partition_registry.server.access.sessions import cookie_name
from airflow_provider_partition_registry.server.redaction import redacted
from airflow_provider_partition_registry.store.wire.statuses import status_of

HEADERS = {"Content-Security-Policy": content_security_policy("none")}


def respond(request: Request, view: View, status: int = 200) -> HTMLResponse:
    """Respond with a page."""
    site = Site(is_signed_in=cookie_name(request) in request.cookies, has_api=True)
    return HTMLResponse(render(view, site), status, HEADERS)


def respond_to_error(request: Request, error: RegistryError) -> HTMLResponse:
    """Respond with the page that says what went wrong, or with the one that asks the visitor to sign in."""
    if isinstance(error, AccessDeniedError):
        return ask_to_sign_in(request, None if isinstance(error, TokenRequiredError) else error.message)
    status = status_of(error)
    is_ours = status >= 500
    told = redacted(error) if is_ours else error
    return respond(request, tell_problem(told.message, is_ours=is_ours), status)


def ask_to_sign_in(request: Request, refusal: str | None = None, back: str | None = None) -> HTMLResponse:
    """Respond with the page that asks for an access token.

    :param back: where to go afterwards: a path of this service, with its query.
    """
    if back is None:
        back = request.url.path.lstrip("/") + (f"?{request.url.query}" if request.url.query else "")
    return respond(request, View("sign_in", {"refusal": refusal, "back": back}), 401)


class PageRoute(APIRoute):
    """A route that shows errors on a page."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the usual handler."""
        answer = super().get_route_handler()

        async def answer_or_tell(request: Request) -> Response:
            try:
                return await answer(request)
            except RegistryError as error:
                return respond_to_error(request, error)
            except RequestValidationError:
                return respond_to_error(request, InvalidInputError("The address of this page is incomplete."))

        return answer_or_tell
