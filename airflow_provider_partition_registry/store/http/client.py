"""Calls to a web service: connections, time-outs, retries, and errors that are raised as they were in the service."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from http.client import BadStatusLine
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode, urlsplit

from urllib3 import BaseHTTPResponse, HTTPConnectionPool, Timeout
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationParseError,
    NewConnectionError,
    ProxyError,
)

from airflow_provider_partition_registry import __version__
from airflow_provider_partition_registry.domain.errors import (
    HostNotFoundError,
    InvalidInputError,
    RegistryError,
    StoreRefusedError,
    StoreUnavailableError,
    TooManyAttemptsError,
)
from airflow_provider_partition_registry.store.http.connections import AllBusyError, Connections
from airflow_provider_partition_registry.store.resolving import is_wrong_host, remember_host
from airflow_provider_partition_registry.store.wire.answers import VERSION_HEADER, decode, error_from_data

T = TypeVar("T")

API = "/api/v1"
ATTEMPTS = 3
FIRST_PAUSE = 0.2  # seconds before the first retry; each further pause is twice as long
LONGEST_PAUSE = 2.0
UNAVAILABLE = {502, 503, 504}
"""The statuses of a service that is down for a moment, or of a proxy in front of it."""

NO_TLS = "WRONG_VERSION_NUMBER"  # OpenSSL's code for a server that answers in plain text


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request.

    :param kind: the type of the answer.
    :param is_repeatable: whether sending it twice does no harm if the first response was lost.
    :param extra_time: seconds that the service may take beyond the usual time-out.
    :param access_token: used in place of the client's own.
    :param headers: beyond those of every request.
    """

    method: str
    path: str
    kind: type[T]
    params: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    is_repeatable: bool = True
    extra_time: float = 0.0
    access_token: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Client:
    """Talks to one service.

    :param url: of the service.
    :param access_token: sent with every call, unless the call brings its own.
    :param verify: whether to check the service's certificate, or the path of a file with the authorities to trust.
    """

    def __init__(
        self, url: str, *, access_token: str | None, pool_size: int, timeout: float, verify: bool | str
    ) -> None:
        self.url = url
        self.access_token = access_token
        self._service = urlsplit(url)
        self._host = self._service.hostname or ""
        self._timeout = timeout
        self._max_age = 0
        self._connections = Connections(url, limit=pool_size, verify=verify)

    def call(self, call: Call[T]) -> T:
        """Send a request, retry it if that is safe and helps, and return the answer.

        :raises RegistryError: the service refused the request; the error is the one raised there.
        :raises StoreUnavailableError: the service does not respond.
        :raises StoreRefusedError: the server is not a registry of this version.
        """
        deadline = time.monotonic() + self._timeout + call.extra_time
        attempt = 0
        while True:
            attempt += 1
            try:
                return self._send(call, deadline)
            except _NoResponseError as error:
                pause = max(error.retry_after, min(FIRST_PAUSE * 2 ** (attempt - 1), LONGEST_PAUSE))
                is_over = attempt == ATTEMPTS or time.monotonic() + pause >= deadline
                if is_over or not (call.is_repeatable or error.was_never_sent):
                    raise error.refusal or StoreUnavailableError(self._unavailable(call, error)) from error
                time.sleep(pause)

    def with_max_age(self, seconds: int) -> Client:
        """The same client, which accepts answers of a certain age."""
        client = copy(self)
        client._max_age = seconds
        return client

    def close(self) -> None:
        """Close all connections; they are opened again when needed."""
        self._connections.close()

    def _send(self, call: Call[T], deadline: float) -> T:
        try:
            with self._connections.lend(_left(deadline)) as pool:
                left = _left(deadline)
                response = pool.request(
                    call.method,
                    self._target(call, pool),
                    json=call.body,
                    headers=self._headers(call),
                    timeout=Timeout(total=left, connect=min(left, self._timeout)),
                    retries=False,
                    redirect=False,
                    assert_same_host=False,  # The pool may be a proxy's.
                )
        except AllBusyError as error:
            raise _NoResponseError(str(error), was_never_sent=True) from error
        except LocationParseError as error:  # of the host, whose rules are stricter than those of the URL
            if is_wrong_host(self._host):
                raise HostNotFoundError(self.url, self._host) from error
            raise InvalidInputError(
                f"The host's name in {self.url} cannot be sent. Write one with other letters than ASCII's in "
                f"Punycode: xn--..."
            ) from error
        except ProxyError as error:
            raise _NoResponseError(
                f"no way through the proxy: {_describe(error)}", was_never_sent=True
            ) from error
        except HTTPError as error:
            self._raise_if_permanent(error)
            was_never_sent = isinstance(error, (NewConnectionError, ConnectTimeoutError))
            raise _NoResponseError(_describe(error), was_never_sent=was_never_sent) from error
        remember_host(self._host)
        return self._read(call, response)

    def _target(self, call: Call, pool: HTTPConnectionPool) -> str:
        """Path and query. A proxy that forwards the request needs the service's address in front of it."""
        is_forwarded = pool.proxy is not None and self._service.scheme == "http"
        base = self.url if is_forwarded else self._service.path
        query = urlencode({name: value for name, value in call.params.items() if value is not None})
        return f"{base}{API}{call.path}" + (f"?{query}" if query else "")

    def _headers(self, call: Call) -> dict[str, str]:
        headers = {"User-Agent": f"partition-registry/{__version__}", **call.headers}
        if self._max_age:
            headers["Cache-Control"] = f"max-age={self._max_age}"
        token = self.access_token if call.access_token is None else call.access_token
        return {**headers, "Authorization": f"Bearer {token}"} if token else headers

    def _read(self, call: Call[T], response: BaseHTTPResponse) -> T:
        try:
            if 200 <= response.status < 300:
                found: T = decode(call.kind, response.data)
                return found
            error = error_from_data(response.json())
        except ValueError:  # because of the encoding, the JSON, or its content
            if response.status in UNAVAILABLE:
                raise _NoResponseError(f"HTTP {response.status}", retry_after=_seconds(response)) from None
            raise StoreRefusedError(self._describe_no_registry(call, response)) from None
        if isinstance(error, TooManyAttemptsError):
            raise _NoResponseError(
                error.message, retry_after=error.retry_after, was_never_sent=True, refusal=error
            )
        if isinstance(
            error, (StoreUnavailableError, HostNotFoundError)
        ):  # of a host that only the service knows
            # The service looked at the request, and it is not known what became of it.
            raise _NoResponseError(error.message, retry_after=_seconds(response))
        if type(error) is RegistryError:
            raise StoreRefusedError(f"{self._describe_no_registry(call, response)} It says: {error.message}")
        if type(error) is InvalidInputError and (version := _other_version(response)):
            raise InvalidInputError(f"{error.message} {self._describe_versions(version)} That may be why.")
        raise error

    def _raise_if_permanent(self, error: HTTPError) -> None:
        """Raise an error for a certificate that cannot be trusted, a server without TLS, and an unknown host name."""
        cause = _cause(error)
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise StoreRefusedError(
                f"The certificate of the registry at {self.url} cannot be trusted: {cause.verify_message}. If "
                f"its authority is your own, say in which file ('verify') that authority's certificate is."
            ) from error
        if isinstance(cause, ssl.SSLError) and cause.reason == NO_TLS:
            raise StoreRefusedError(
                f"The server at {self.url} does not speak TLS. Is it http:// instead of https://?"
            ) from error
        if isinstance(cause, socket.gaierror) and is_wrong_host(self._host, cause):
            raise HostNotFoundError(self.url, self._host) from error

    def _unavailable(self, call: Call, error: _NoResponseError) -> str:
        text = f"The registry at {self.url} does not respond: {str(error).rstrip('.')}."
        if call.is_repeatable or error.was_never_sent:
            return text
        return f"{text} The call may or may not have taken effect: check whether it has before you repeat it."

    def _describe_no_registry(self, call: Call, response: BaseHTTPResponse) -> str:
        if location := response.get_redirect_location():
            return (
                f"{self.url} redirects to {location}. Tokens are not sent there: if that is "
                f"the registry, give its own URL."
            )
        told = f"HTTP {response.status} to {call.method} {API}{call.path}"
        if version := _other_version(response):
            return f"{self._describe_versions(version)} They do not understand each other ({told})."
        if VERSION_HEADER in response.headers:
            return f"The registry does not know {self.url} ({told}). Check the path in the URL."
        return f"The server at {self.url} is not a partition registry ({told}). Check the URL."

    def _describe_versions(self, version: str) -> str:
        return (
            f"The registry at {self.url} is of version {version} and this is version {__version__}: bring both to "
            f"the same version."
        )


class _NoResponseError(Exception):
    """It is not known what became of the call, or it may be worth repeating.

    :param retry_after: seconds that the service asks to wait.
    :param was_never_sent: whether it certainly had no effect.
    :param refusal: the error to raise in the end, if the service answered with one.
    """

    def __init__(
        self,
        reason: str,
        *,
        retry_after: float = 0.0,
        was_never_sent: bool = False,
        refusal: StoreUnavailableError | None = None,
    ) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.was_never_sent = was_never_sent
        self.refusal = refusal


def _left(deadline: float) -> float:
    """Seconds until then; at least a moment, in which a response that has arrived can be read."""
    return max(0.1, deadline - time.monotonic())


def _seconds(response: BaseHTTPResponse) -> float:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdigit() else 0.0


def _describe(error: HTTPError) -> str:
    cause = _cause(error)
    if type(cause) is BadStatusLine:
        return f"it speaks no HTTP but says {cause.args[0]!r}"
    return str(cause) or type(cause).__name__


def _cause(error: BaseException) -> BaseException:
    """The error below those of urllib3, which wraps it once or twice."""
    wrapped = next((each for each in error.args if isinstance(each, BaseException)), error.__cause__)
    return error if wrapped is None else _cause(wrapped)


def _other_version(response: BaseHTTPResponse) -> str | None:
    """The version of the service if it differs from ours, else None."""
    version: str | None = response.headers.get(VERSION_HEADER)
    return None if version == __version__ else version
