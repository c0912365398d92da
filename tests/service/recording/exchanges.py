"""Sends requests one after the other and notes the responses, so that two services can be compared.

It uses nothing of the package: any version's service can be played to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NotRequired, TypedDict

import httpx

TOLD_HEADERS = ("content-type", "cache-control", "www-authenticate", "allow", "location")
WORDS = ("message", "detail", "explanation")
"""Fields that hold sentences. Their words may change; that there are some may not."""
PRESENT = re.compile(r"20[2-9]\d-\d\d-\d\dT[\d:.]+(?:Z|\+00:00)")
"""What the clock said. Instants in requests are of other years."""
TOKEN_ID = re.compile(r"\b[0-9a-f]{16}\b")


class Request(TypedDict):
    """A request. In its texts ``{name}`` stands for what an earlier step remembered under that name.

    ``remember`` says where in the response something stands, as a path of keys, and under which name to keep it.
    """

    name: str
    method: str
    path: str
    query: NotRequired[dict[str, str]]
    token: NotRequired[str]
    headers: NotRequired[dict[str, str]]
    body: NotRequired[Any]
    text: NotRequired[str]
    remember: NotRequired[dict[str, list[str]]]


class Response(TypedDict):
    """What came back, without what differs each time."""

    status: int
    headers: dict[str, str]
    body: Any


class Exchange(TypedDict):
    """A request and its response."""

    request: Request
    response: Response


def play(requests: Iterable[Request], http: httpx.Client, given: Mapping[str, str]) -> Iterator[Exchange]:
    """Send the requests.

    :param given: what may stand in braces from the beginning.
    """
    known = dict(given)
    for request in requests:
        response, body = _send(_filled(request, known), http)
        for name, path in request.get("remember", {}).items():
            known[name] = _at(path, body)
        headers = {name: response.headers[name] for name in TOLD_HEADERS if name in response.headers}
        told = _without_values({"headers": headers, "body": body}, known)
        yield {
            "request": request,
            "response": {"status": response.status_code, "headers": told["headers"], "body": told["body"]},
        }


def _send(request: Request, http: httpx.Client) -> tuple[httpx.Response, Any]:
    headers = dict(request.get("headers", {}))
    if "token" in request:
        headers["Authorization"] = f"Bearer {request['token']}"
    with http.stream(
        request["method"],
        request["path"],
        params=request.get("query"),
        headers=headers,
        json=request.get("body"),
        content=request.get("text"),
    ) as response:
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            return response, _first_event(response)
        text = response.read().decode()
    try:
        return response, json.loads(text)
    except ValueError:
        return response, None  # metrics and the like: their format is not ours


def _first_event(stream: httpx.Response) -> dict[str, Any]:
    event: dict[str, Any] = {}
    for line in stream.iter_lines():
        if not line and "data" in event:
            break
        name, _, value = line.partition(": ")
        if name:
            event[name] = json.loads(value) if name == "data" else value
    return event


def _filled(request: Request, known: Mapping[str, str]) -> Request:
    text = json.dumps({key: value for key, value in request.items() if key != "remember"})
    for name, value in known.items():
        text = text.replace(f"{{{name}}}", value)
    filled: Request = json.loads(text)
    return filled


def _at(path: list[str], body: Any) -> str:
    for key in path:
        body = body[int(key)] if isinstance(body, list) else body[key]
    return str(body)


def _without_values(told: Any, known: Mapping[str, str]) -> Any:
    if isinstance(told, dict):
        return {key: _field(key, value, known) for key, value in told.items()}
    if isinstance(told, list):
        return [_without_values(each, known) for each in told]
    if isinstance(told, str):
        for name, value in known.items():
            told = told.replace(value, f"{{{name}}}")
        return TOKEN_ID.sub("(a token's id)", PRESENT.sub("(the time)", told))
    return told


def _field(key: str, value: Any, known: Mapping[str, str]) -> Any:
    if key in WORDS and isinstance(value, str):
        return "(words)" if value else ""
    return _without_values(value, known)
