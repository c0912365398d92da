"""JSON over HTTP to servers of this machine, with time-outs long enough for a busy machine."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any

from testbed.processes import TestbedError

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = Any

# The first requests to a server that has just started can hang for 10 s and more.
REQUEST_TIMEOUT = 60.0
ATTEMPTS = 5
TRANSIENT_STATUS = frozenset({429, 500, 502, 503, 504})
TRANSIENT_ERRORS = (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException)

# A proxy of this machine must not be used for 127.0.0.1.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ApiError(TestbedError):
    """The server refused a request."""

    def __init__(self, method: str, url: str, status: int, answer: str) -> None:
        super().__init__(f"{method} {url}: {status} {answer[:2000]}")
        self.status = status


def request_json(
    method: str,
    url: str,
    body: Json = None,
    *,
    headers: Mapping[str, str] | None = None,
    attempts: int = ATTEMPTS,
) -> Json:
    """Send one request, and retry while the server has passing trouble; returns the decoded answer, or ``None``.

    :raise ApiError: the server refused it
    """
    data, defaults = None, {"Accept": "application/json"}
    if body is not None:
        # Only if there is a body: Airflow 2 answers 400 to an empty DELETE request that claims to contain JSON.
        data = json.dumps(body, default=str).encode()
        defaults["Content-Type"] = "application/json"
    request = urllib.request.Request(url, data, defaults | dict(headers or {}), method=method)
    answer = _send_patiently(request, attempts)
    return json.loads(answer) if answer else None


def post_form(url: str, fields: Mapping[str, object], accept: str = "text/html") -> str:
    """Send a form as a browser does, and retry while the server has passing trouble; returns the answer's text.

    :param accept: the kind of answer that is wanted
    :raise ApiError: the server refused it
    """
    data = urllib.parse.urlencode(fields).encode()
    request = urllib.request.Request(url, data, {"Accept": accept}, method="POST")
    return _send_patiently(request, ATTEMPTS).decode()


def _send_patiently(request: urllib.request.Request, attempts: int) -> bytes:
    for attempt in range(1, attempts + 1):
        try:
            with _opener.open(request, timeout=REQUEST_TIMEOUT) as response:
                return bytes(response.read())
        except urllib.error.HTTPError as error:
            answer = error.read().decode(errors="replace")
            if error.code not in TRANSIENT_STATUS or attempt == attempts:
                raise ApiError(request.get_method(), request.full_url, error.code, answer) from None
        except TRANSIENT_ERRORS:
            if attempt == attempts:
                raise
        time.sleep(0.5 * attempt)
    raise AssertionError("the last attempt returns or raises")
