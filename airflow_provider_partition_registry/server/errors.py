"""Errors as HTTP responses: one status per kind of error, and one form of body for each of the two APIs."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from airflow_provider_partition_registry.domain.errors import (
    InvalidInputError,
    RegistryError,
    TokenRequiredError,
)
from airflow_provider_partition_registry.server.redaction import redacted
from airflow_provider_partition_registry.server.waiting.long_polling import ClientGoneError
from airflow_provider_partition_registry.store.wire.answers import error_to_data
from airflow_provider_partition_registry.store.wire.statuses import status_of

VERSIONED = "/api/"
RETRY_AFTER = 1  # seconds
CLIENT_GONE = 499  # for the log and the metrics; no client receives it


def install(app: FastAPI) -> None:
    """Let the app turn every error into a response of the right form."""
    app.add_exception_handler(RegistryError, respond_to_error)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, _respond_to_malformed)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, _respond_to_http_error)  # type: ignore[arg-type]
    app.add_exception_handler(ClientGoneError, _respond_to_nobody)
    app.add_exception_handler(Exception, _respond_to_bug)


def respond_to_error(request: Request, error: RegistryError) -> JSONResponse:
    """The response to an error, in the form of the route that was called."""
    status = status_of(error)
    return _respond(request, status, redacted(error) if status >= 500 else error)


def _respond_to_malformed(request: Request, error: RequestValidationError) -> JSONResponse:
    return _respond(
        request, 422, InvalidInputError(" ".join(_sentence(each) for each in error.errors()[:10]))
    )


def _respond_to_http_error(request: Request, error: HTTPException) -> JSONResponse:
    """Respond to what the framework itself refuses: an unknown path or method, or a body that is too large."""
    kind = InvalidInputError if error.status_code in (400, 413) else RegistryError
    told = kind(f"{request.method} {request.scope['path']}: {error.detail}.")
    # The framework says 400 to a body that cannot even be read.
    return _respond(request, 422 if error.status_code == 400 else error.status_code, told, error.headers)


def _respond_to_nobody(request: Request, error: Exception) -> Response:
    return Response(status_code=CLIENT_GONE)


def _respond_to_bug(request: Request, error: Exception) -> JSONResponse:
    told = RegistryError("Internal error of the service; its log has the details. Please report it.")
    return _respond(request, 500, told)


def _respond(request: Request, status: int, error: RegistryError, headers: Any = None) -> JSONResponse:
    headers = dict(headers or {})
    if status in (429, 503):
        headers["Retry-After"] = str(getattr(error, "retry_after", RETRY_AFTER))
    if isinstance(error, TokenRequiredError):
        headers["WWW-Authenticate"] = "Bearer"
    is_versioned = request.scope["path"].startswith(VERSIONED)
    body = error_to_data(error) if is_versioned else {"status_code": status, "detail": error.message}
    return JSONResponse(body, status, headers)


def _sentence(problem: Any) -> str:
    where = ".".join(str(part) for part in problem["loc"][1:]) or str(problem["loc"][0])
    return f"{where}: {problem['msg']}."
