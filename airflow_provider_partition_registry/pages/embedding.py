"""The pages of several registries inside another program: what it answers to which path, whatever serves it.

There are pages, what they ask for, and nothing else: no route writes, registers, or answers a token.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote

from airflow_provider_partition_registry.domain.errors import (
    AccessDeniedError,
    InvalidInputError,
    RegistryError,
    StoreUnavailableError,
    UnknownError,
)
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import HistoryPage
from airflow_provider_partition_registry.domain.viewing import Timeline
from airflow_provider_partition_registry.pages.files import FILES, FOR_EVER
from airflow_provider_partition_registry.pages.rendering import Site, View, content_security_policy, render
from airflow_provider_partition_registry.pages.views import list_sources, show_source, tell_problem
from airflow_provider_partition_registry.store.contract import RegistryReader
from airflow_provider_partition_registry.store.wire.answers import Position, encode, error_to_data
from airflow_provider_partition_registry.store.wire.statuses import status_of

log = logging.getLogger(__name__)

API = "api/v1/"
JSON = "application/json"

HEADERS = {
    "Content-Security-Policy": content_security_policy("self"),
    "X-Frame-Options": "SAMEORIGIN",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Reply:
    """A response of HTTP."""

    content: str | bytes = b""
    media_type: str = "text/html"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: HEADERS)


class Registries(Protocol):
    """The registries that can be looked at, by name."""

    def names(self) -> Sequence[str]:
        """Those among which a visitor can choose; the first one is shown first."""

    def reader(self, name: str) -> RegistryReader:
        """One of them, also if it is not among those to choose from.

        :raises UnknownError: there is none of this name.
        """


class Query:
    """The parameters in an address.

    :param given: by name.
    """

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given

    def text(self, name: str, default: str | None = None) -> str:
        """A parameter as it is.

        :raises InvalidInputError: it is missing, and there is no default.
        """
        found = self._given.get(name, default)
        if found is None:
            raise InvalidInputError(f"The address is incomplete: it lacks {name!r}.")
        return found

    def number(self, name: str, default: int | None = None) -> int | None:
        """A parameter that is a number.

        :raises InvalidInputError: it is none.
        """
        if name not in self._given:
            return default
        try:
            return int(self._given[name])
        except ValueError:
            raise InvalidInputError(
                f"{name!r} in the address is a number, not {self._given[name]!r}."
            ) from None


class EmbeddedPages:
    """Answers requests for paths that begin with the name of a registry: ``<name>/source?name=shop.sales``.

    :param registries: those that it shows.
    """

    def __init__(self, registries: Registries) -> None:
        self._registries = registries

    def answer(self, path: str, query: Mapping[str, str]) -> Reply:
        """Answer a request of somebody who may read.

        :param path: below the address at which the pages are found, without a slash at its beginning.
        """
        name, slash, place = path.partition("/")
        if not slash:
            return self._lead_to_a_registry(name)
        try:
            return self._found(name, place, Query(query))
        except RegistryError as error:
            return self._refusal(name, place, error)

    def refuse(self, path: str, message: str, status: int, sign_in: str | None = None) -> Reply:
        """Answer a request of somebody who may not read.

        :param sign_in: where to sign in, if that may help.
        """
        _, _, place = path.partition("/")
        if place.startswith(API):
            return _json({"error": {"code": "not_allowed", "message": message, "details": {}}}, status)
        depth = 1 + path.count("/")
        return _page(
            View("refused", {"message": message, "sign_in": sign_in}), Site(airflow="../" * depth), status
        )

    def _lead_to_a_registry(self, name: str) -> Reply:
        """Complete the address of a registry; by default that of the first one."""
        first = name or next(iter(self._registries.names()), None)
        if first is None:
            return _page(View("no_registry"), Site(airflow="../"))
        return Reply(status=307, headers={**HEADERS, "Location": f"{quote(first)}/"})

    def _found(self, name: str, place: str, query: Query) -> Reply:
        reader = self._registries.reader(name)
        if place in _PAGES:
            return _page(_PAGES[place](reader, query), self._site(name))
        if place in _READING:
            kind, ask = _READING[place]
            return Reply(encode(kind, ask(reader, query)), JSON)
        raise UnknownError("There is no such page.")

    def _refusal(self, name: str, place: str, error: RegistryError) -> Reply:
        is_ours = _is_ours(error)
        status = 503 if is_ours else status_of(error)
        if is_ours:
            log.error("The registry of connection %r cannot be read. %s", name, error)
            # Where the registry is and what drivers say is not for everybody who may look at it.
            error = error.restored(
                f"The registry behind the connection {name!r} cannot be read at present ({error.code}). The log of "
                f"Airflow's web server says why.",
                {},
            )
        if place.startswith(API):
            return _json(error_to_data(error), status)
        return _page(tell_problem(error.message, is_ours=is_ours), self._site(name), status)

    def _site(self, name: str) -> Site:
        return Site(news="ask", airflow="../../", registries=self._registries.names(), registry=name)


def file_at(path: str) -> Reply | None:
    """The file that pages load from this path, if it is one. These are the same for everybody, also for nobody."""
    folder, _, name = path.rpartition("/")
    if folder.rpartition("/")[2] != "pages" or name not in FILES:
        return None
    headers = {"Cache-Control": FOR_EVER, "X-Content-Type-Options": "nosniff"}
    return Reply(FILES[name].content, FILES[name].media_type, headers=headers)


def _is_ours(error: RegistryError) -> bool:
    """Whether it is no mistake of the visitor: they cannot help it if the registry refuses the connection's token."""
    return isinstance(error, (AccessDeniedError, StoreUnavailableError)) or status_of(error) >= 500


def _json(data: Mapping[str, Any], status: int) -> Reply:
    return Reply(json.dumps(data), JSON, status)


def _page(view: View, site: Site, status: int = 200) -> Reply:
    return Reply(render(view, site), status=status)


_PAGES: Mapping[str, Callable[[RegistryReader, Query], View]] = {
    "": lambda reader, query: list_sources(reader, query.text("prefix", ""), query.text("after", "") or None),
    "source": lambda reader, query: show_source(
        reader,
        query.text("name"),
        query.text("start", ""),
        query.text("end", ""),
        query.number("before"),
    ),
}

_READING: Mapping[str, tuple[Any, Callable[[RegistryReader, Query], Any]]] = {
    f"{API}timeline": (
        Timeline,
        lambda reader, query: reader.timeline(
            query.text("source_name"),
            Interval(query.text("start"), query.text("end")),
            query.number("resolution", 400) or 0,
        ),
    ),
    f"{API}events/last": (Position, lambda reader, _: Position(reader.last_position())),
    f"{API}events/latest": (
        HistoryPage,
        lambda reader, query: reader.latest_events(query.text("source_name"), limit=1),
    ),
}
"""What the scripts of pages ask for, under the same addresses as in the web service."""
