"""Responses of the versioned API: values of the domain as they are."""

from __future__ import annotations

import json
from typing import Any

from fastapi import Response

from airflow_provider_partition_registry.server.openapi.refusals import Refusals, refusals
from airflow_provider_partition_registry.store.wire.answers import encode


def respond(kind: Any, value: Any, status: int = 200) -> Response:
    """Respond with a value as the body, without validating and copying it once more."""
    return Response(encode(kind, value), status, media_type="application/json")


def responses_of(kind: Any, example: Any, *refused: int, status: int = 200) -> Refusals:
    """Describe a route's responses: its success, and the refusals beyond those that every route has."""
    shown = {"content": {"application/json": {"example": json.loads(encode(kind, example))}}}
    return {status: shown, **refusals(*refused)}
