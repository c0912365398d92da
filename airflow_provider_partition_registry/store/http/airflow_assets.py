"""The assets of an Airflow instance, by its REST API (Airflow 3): where ``push`` brings what became ready."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from urllib3.exceptions import HTTPError

from airflow_provider_partition_registry.domain.errors import (
    AccessDeniedError,
    InvalidInputError,
    StoreRefusedError,
    StoreUnavailableError,
)
from airflow_provider_partition_registry.store.http.connections import Connections

TIMEOUT = 30.0  # seconds
PAGE = 100


@dataclass(frozen=True, slots=True)
class Login:
    """How to log in to Airflow: with a token, or with a user's name and password for which it gives one.

    :param token: a bearer token. If there is a password it is replaced when it has expired.
    """

    token: str | None = None
    user: str | None = None
    password: str | None = None


class AirflowAssets:
    """Finds assets, reads their events and creates new ones.

    :param url: the address at which people reach this Airflow.
    :param verify: whether to check its certificate, or the path of a file with the authorities to trust.
    :raises InvalidInputError: this is no web address.
    """

    def __init__(self, url: str, login: Login, *, verify: bool | str = True) -> None:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise InvalidInputError(
                f"Airflow's address is one such as https://airflow.example.com, not {url!r}."
            )
        self.url = url.rstrip("/")
        self._login = login
        self._token = login.token
        self._connections = Connections(self.url, limit=1, verify=verify)

    def id_of(self, name: str) -> int:
        """The id of the asset with this name.

        :raises InvalidInputError: there is none.
        """
        for asset in self._pages(f"/assets?name_pattern={quote(name, safe='')}", "assets"):
            if asset["name"] == name:
                return int(asset["id"])
        raise InvalidInputError(
            f"Airflow at {self.url} has no asset {name!r}. A DAG that is scheduled by it has to be there first."
        )

    def newest_events(self, asset_id: int) -> Iterator[dict[str, Any]]:
        """The events of an asset, the newest first."""
        return self._pages(f"/assets/events?asset_id={asset_id}&order_by=-timestamp", "asset_events")

    def create_event(self, asset_id: int, partition_key: str, extra: Mapping[str, Any]) -> None:
        """Create an event of an asset, which starts the DAGs that are scheduled by its partitions.

        :raises StoreUnavailableError: there is no answer; the event may or may not have been created.
        """
        body = {"asset_id": asset_id, "partition_key": partition_key, "extra": dict(extra)}
        self._call("POST", "/assets/events", body)

    def close(self) -> None:
        """Close the connection."""
        self._connections.close()

    def _pages(self, path: str, items: str) -> Iterator[dict[str, Any]]:
        offset = 0
        while True:
            page = self._call("GET", f"{path}&limit={PAGE}&offset={offset}")[items]
            yield from page
            offset += len(page)
            if len(page) < PAGE:
                return

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        if self._token is None:
            self._log_in()
        status, answer = self._send(method, f"/api/v2{path}", body)
        if status == 401 and self._login.password is not None:
            self._log_in()
            status, answer = self._send(method, f"/api/v2{path}", body)
        if status in (401, 403):
            raise AccessDeniedError(
                f"Airflow at {self.url} does not let this login do {method} {path}: {_shortened(answer)}"
            )
        if status >= 500 or status == 429:
            raise StoreUnavailableError(f"Airflow at {self.url} answered {status}: {_shortened(answer)}")
        if status >= 400:
            raise StoreRefusedError(
                f"Airflow at {self.url} refused {method} {path} with {status}: {_shortened(answer)}"
            )
        return answer

    def _log_in(self) -> None:
        if self._login.password is None:
            return
        given = {"username": self._login.user, "password": self._login.password}
        status, answer = self._send("POST", "/auth/token", given)
        if status >= 400:
            raise AccessDeniedError(
                f"Airflow at {self.url} gave no token to {self._login.user!r}: {_shortened(answer)}"
            )
        self._token = answer["access_token"]

    def _send(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body)
        try:
            with self._connections.lend(TIMEOUT) as pool:
                answer = pool.request(
                    method,
                    urlsplit(self.url).path + path,
                    body=data,
                    headers=headers,
                    timeout=TIMEOUT,
                    retries=False,
                )
                return answer.status, _content(answer.data)
        except HTTPError as error:
            raise StoreUnavailableError(f"Airflow at {self.url} does not respond: {error}") from error


def _content(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode(errors="replace")


def _shortened(answer: Any) -> str:
    text = answer if isinstance(answer, str) else json.dumps(answer)
    return text if len(text) <= 300 else text[:299] + "…"
