"""Upgrades while everybody works on: processes of the old version and of the new one on one database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Self

import httpx
import pytest

from airflow_provider_partition_registry.store.sql.schema import revisions
from airflow_provider_partition_registry.store.sql.store import open_sql_store
from testbed.processes import wait_until
from testbed.service_process import ServiceProcess
from testbed.versions import FORMER, Client, Version, former_version, next_version, this_version
from tests.contract.homes import all_events
from tests.races.upgrading.load import (
    TURN_TIMEOUT,
    Load,
    assert_answers_follow_from_the_history,
    assert_followers_miss_and_repeat_nothing,
    assert_nothing_is_lost,
    assert_nothing_is_ready_while_locked,
    refusals,
)

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(600)]

SOURCES = (
    "old-direct",
    "old-served",
    "new-direct",
    "new-served",
    "old-at-new",
    "new-at-old",
    "late",
    "shared",
)


@pytest.fixture
def url(new_postgres_url: Callable[..., str]) -> str:
    """An empty database."""
    return new_postgres_url(template=None)


def is_served(schema: str) -> bool:
    """Whether this version's schema says that the version for another may go on with it."""
    since = revisions.HEAD.partition("_since_")[2]
    return bool(since) and since <= schema


@pytest.mark.parametrize("schema", [each for each in FORMER if not is_served(each)])
def test_from_a_former_version(schema: str, url: str, tmp_path: Path) -> None:
    """Versions from before schemas said who may use them work on while they run, but cannot be started anew."""
    old = former_version(schema, tmp_path / "former")
    with Upgrade(url, old, this_version(), tmp_path) as upgrade:
        upgrade.begin()
        upgrade.upgrade()
        assert upgrade.readiness_of_old_service() == 503
        late = upgrade.load.start(old, url, "writer", "late")
        wait_until(
            lambda: refusals(late),
            what="the late client to be refused",
            timeout=TURN_TIMEOUT,
            children=[late],
        )
        assert {code for _, code in refusals(late)} == {"schema_newer"}
        late.stop()
        upgrade.go_on_with_both()
        upgrade.end_the_old()
        upgrade.finish()
        assert upgrade.refused_clients() <= {late, *upgrade.of_old_service}


@pytest.mark.parametrize("schema", [None, *filter(is_served, FORMER)])
def test_to_a_version_whose_schema_serves_the_old_one(schema: str | None, url: str, tmp_path: Path) -> None:
    """Processes of the old version can be started anew, and its service stays ready: this one's at the next schema."""
    old = former_version(schema, tmp_path / "former") if schema else this_version()
    new = this_version() if schema else next_version(tmp_path / "next")
    with Upgrade(url, old, new, tmp_path) as upgrade:
        upgrade.begin()
        upgrade.upgrade()
        assert upgrade.readiness_of_old_service() == 200
        upgrade.restart_the_old_service()
        late = upgrade.load.start(old, url, "writer", "late")
        upgrade.go_on_with_both()
        run(old, url, "db", "upgrade")  # as the image does at each start
        assert old.command(url, "db", "current").stdout == new.command(url, "db", "current").stdout
        late.stop()
        upgrade.end_the_old()
        upgrade.finish()
        assert upgrade.refused_clients() <= upgrade.of_old_service


class Upgrade:
    """One database, and the clients and services of two versions, for the length of a ``with`` block."""

    def __init__(self, url: str, old: Version, new: Version, folder: Path) -> None:
        self.url, self.old, self.new, self._folder = url, old, new, folder
        self.load = Load(folder, SOURCES)
        self.of_old_service: set[Client] = set()
        self._old_clients: set[Client] = set()
        self._old_service = self._service(old)
        self._new_service = self._service(new)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.load.stop()
        for service in (self._old_service, self._new_service):
            if service.process.was_started:
                service.process.stop()

    def begin(self) -> None:
        """Let the old version make a registry and work with it."""
        run(self.old, self.url, "db", "upgrade")
        set_up = self.old.client(self.url, "setup", ",".join(SOURCES), self._folder / "set-up.log")
        assert set_up.wait_for_exit(TURN_TIMEOUT) == 0
        self._old_service.start()
        self._start_clients(self.old, self._old_service, "old")
        self.load.wait_for_progress()

    def upgrade(self) -> None:
        """Bring the schema up to date; the old version goes on."""
        run(self.new, self.url, "db", "upgrade")
        self.load.wait_for_progress()

    def go_on_with_both(self) -> None:
        """Add a service and clients of the new version, and clients of each version that use the other's service."""
        self._new_service.start()
        self._start_clients(self.new, self._new_service, "new")
        self._start(self.old, self._new_service, "writer", "old-at-new")
        self._start(self.new, self._old_service, "writer", "new-at-old")
        self.load.wait_for_progress()

    def restart_the_old_service(self) -> None:
        """As its clients go on meanwhile, some of their calls find nobody."""
        self._old_service.process.stop()
        self._old_service.start()
        self.load.wait_for_progress()

    def end_the_old(self) -> None:
        """End processes of the old version one by one, its service before the clients of that."""
        for each in self._old_clients - self.of_old_service:
            each.stop()
        self._old_service.process.stop()
        for each in self.of_old_service:
            each.stop()
        self.load.wait_for_progress()

    def finish(self) -> None:
        """Finish the upgrade under load, end, and check everything."""
        run(self.new, self.url, "db", "upgrade", "--finish")
        self.load.wait_for_progress()
        self.load.stop()
        self._check()

    def readiness_of_old_service(self) -> int:
        """The status that a load balancer sees."""
        return httpx.get(f"{self._old_service.url}/readyz", timeout=60, trust_env=False).status_code

    def refused_clients(self) -> set[Client]:
        """Those of which any call was refused, other than because somebody held a lock."""
        return {each for each in self.load.clients if refusals(each)}

    def _check(self) -> None:
        run(self.new, self.url, "db", "verify")
        with open_sql_store(self.url, pool_size=1, timeout=60) as store:
            events = all_events(store)
        assert_nothing_is_lost(events, self.load)
        assert_answers_follow_from_the_history(events, self.load)
        assert_nothing_is_ready_while_locked(self.load)
        assert_followers_miss_and_repeat_nothing(events, self.load)
        for client in self.refused_clients():
            codes = {code for _, code in refusals(client)}
            assert codes <= {"store_unavailable", "schema_newer"}, client.name

    def _start_clients(self, version: Version, service: ServiceProcess, age: str) -> None:
        for role in ("writer", "reader", "follower"):
            self._start(version, None, role, f"{age}-direct" if role == "writer" else "")
        for role in ("writer", "reader", "stream"):
            self._start(version, service, role, f"{age}-served" if role == "writer" else "")

    def _start(self, version: Version, service: ServiceProcess | None, role: str, name: str) -> None:
        client = self.load.start(version, service.url if service else self.url, role, name)
        if version is self.old:
            self._old_clients.add(client)
        if service is self._old_service:
            self.of_old_service.add(client)

    def _service(self, version: Version) -> ServiceProcess:
        return ServiceProcess(self.url, "--open", "--workers", "1", variables=version.variables)


def run(version: Version, url: str, *arguments: str) -> None:
    """Run the command, which must succeed."""
    ended = version.command(url, *arguments)
    assert ended.returncode == 0, ended
