"""Signing in, where reading takes a token: a cookie keeps it that scripts cannot read and other sites cannot use."""

from __future__ import annotations

from urllib.parse import parse_qs, quote

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse

from airflow_provider_partition_registry.domain.errors import AccessDeniedError
from airflow_provider_partition_registry.server.access import SESSION_COOKIE, PresentedToken
from airflow_provider_partition_registry.server.pages.rendering import PageRoute, render_sign_in
from airflow_provider_partition_registry.server.service import InService

router = APIRouter(route_class=PageRoute)


@router.post("/sign-in")
async def sign_in(request: Request, service: InService) -> Response:
    """Keep the token, if it may read, and go on to where somebody wanted to go."""
    form = parse_qs((await request.body()).decode("utf-8", "replace"))
    token, back = (form.get(name, [""])[0] for name in ("access_token", "back"))
    try:
        presented = PresentedToken.with_request(token.strip(), request)
        await run_in_threadpool(service.access.require_reader, presented)
    except AccessDeniedError as error:
        return render_sign_in(request, error.message, back)
    answer = _go_to(back)
    answer.set_cookie(
        SESSION_COOKIE,
        quote(token.strip()),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


@router.post("/sign-out")
async def sign_out() -> Response:
    """Forget the token."""
    answer = _go_to("")
    answer.delete_cookie(SESSION_COOKIE)
    return answer


def _go_to(back: str) -> RedirectResponse:
    # With "./" in front it cannot lead to another host, whatever it is.
    return RedirectResponse(f"./{back}", 303)
