"""Rendering pages: templates that escape everything, a strict Content-Security-Policy, and errors as pages."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined

from airflow_provider_partition_registry import __version__
from airflow_provider_partition_registry.domain.errors import (
    AccessDeniedError,
    InvalidInputError,
    RegistryError,
    TokenRequiredError,
)
from airflow_provider_partition_registry.domain.models import EventType
from airflow_provider_partition_registry.server.access.sessions import cookie_name
from airflow_provider_partition_registry.server.errors import status_of
from airflow_provider_partition_registry.server.pages import wording
from airflow_provider_partition_registry.server.redaction import redacted

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

ENVIRONMENT = Environment(
    loader=PackageLoader("airflow_provider_partition_registry.server.pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.filters |= {
    "instant": wording.instant,
    "for_input": wording.for_input,
    "duration": wording.duration,
    "relative": wording.relative,
    "linked": wording.linked,
    "log_address": wording.log_address,
}
ENVIRONMENT.globals |= {"version": __version__, "event_types": " ".join(EventType)}


def render(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Render a page.

    :param template: its name, without the extension.
    """
    page = ENVIRONMENT.get_template(f"{template}.html").render(
        is_signed_in=cookie_name(request) in request.cookies, **values
    )
    return HTMLResponse(page, status, {"Content-Security-Policy": CONTENT_SECURITY_POLICY})


def render_error(request: Request, error: RegistryError) -> HTMLResponse:
    """Render the page that says what went wrong, or the one that asks the visitor to sign in."""
    if isinstance(error, AccessDeniedError):
        return render_sign_in(request, None if isinstance(error, TokenRequiredError) else error.message)
    status = status_of(error)
    is_ours = status >= 500
    told = redacted(error) if is_ours else error
    return render(request, "problem", status, message=told.message, is_ours=is_ours)


def render_sign_in(request: Request, refusal: str | None = None, back: str | None = None) -> HTMLResponse:
    """Render the page that asks for an access token.

    :param back: where to go afterwards: a path of this service, with its query.
    """
    if back is None:
        back = request.url.path.lstrip("/") + (f"?{request.url.query}" if request.url.query else "")
    return render(request, "sign_in", 401, refusal=refusal, back=back)


class PageRoute(APIRoute):
    """A route that shows errors on a page."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the usual handler."""
        answer = super().get_route_handler()

        async def answer_or_tell(request: Request) -> Response:
            try:
                return await answer(request)
            except RegistryError as error:
                return render_error(request, error)
            except RequestValidationError:
                return render_error(request, InvalidInputError("The address of this page is incomplete."))

        return answer_or_tell
