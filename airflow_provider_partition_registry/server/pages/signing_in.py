"""Signing in, where reading takes a token: a cookie keeps the session, which scripts and other sites cannot use."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse

from airflow_provider_partition_registry.domain.errors import AccessDeniedError, InvalidInputError
from airflow_provider_partition_registry.server.access.permissions import PresentedToken
from airflow_provider_partition_registry.server.access.sessions import cookie_name
from airflow_provider_partition_registry.server.pages.rendering import PageRoute, ask_to_sign_in
from airflow_provider_partition_registry.server.service import InService

router = APIRouter(route_class=PageRoute)


@router.post("/sign-in")
async def sign_in(request: Request, service: InService) -> Response:
    """Begin a session if the token is valid, and go on to the page that was asked for."""
    token, back = _read(await request.body())
    try:
        presented = PresentedToken.with_request(token, request)
        session = await run_in_threadpool(service.access.begin_session, presented)
    except AccessDeniedError as error:
        return ask_to_sign_in(request, error.message, back)
    answer = _go_to(back)
    answer.set_cookie(cookie_name(request), session, **_attributes(request))
    return answer


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """Forget the session."""
    answer = _go_to("")
    answer.delete_cookie(cookie_name(request), **_attributes(request))
    return answer


def _read(form: bytes) -> tuple[str, str]:
    """The token, and where to go afterwards.

    :raises InvalidInputError: it is not valid UTF-8.
    """
    try:
        fields = parse_qs(form.decode(), errors="strict")
    except UnicodeDecodeError:
        raise InvalidInputError("The form is not valid UTF-8.") from None
    token, back = (fields.get(name, [""])[0] for name in ("access_token", "back"))
    return token.strip(), back


def _attributes(request: Request) -> dict[str, Any]:
    return {"httponly": True, "samesite": "strict", "secure": request.url.scheme == "https"}


def _go_to(back: str) -> RedirectResponse:
    # With "./" in front it cannot lead to another host, whatever it says.
    return RedirectResponse(f"./{back}", 303)
