"""A service with a standby: clients that accept older answers are answered by it, and nobody else is."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.domain.questions import Question
from airflow_provider_partition_registry.server.aged import max_age_of
from airflow_provider_partition_registry.server.settings import ServiceSettings
from airflow_provider_partition_registry.store.factory import open_store
from testbed.processes import wait_until
from testbed.service_process import ServiceProcess
from tests.conftest import upgrade
from tests.contract.homes import hours
from tests.contract.standbys import Pair, pair
from tests.documents import DOCS, blocks
from tests.service.conftest import HOUR, QUESTION, client, metric

PAGE = DOCS / "how-to" / "standby.md"
LONG = {"Cache-Control": "max-age=300"}


@pytest.mark.parametrize(
    ("directives", "age"),
    [
        ("", 0),
        ("max-age=5", 5),
        ("Max-Age = 5 ", 5),
        ("max-age=0", 0),
        ("max-age=300", 300),
        ("max-age=100000000000000000000", 300),
        ("max-age=60, max-age=5", 5),
        ("max-age=60, no-cache", 0),
        ("no-store,max-age=60", 0),
        ("max-age=-5", 0),
        ("max-age=5.5", 0),
        ("max-age=²", 0),
        ("max-age=", 0),
        ("max-age", 0),
        ("max-stale=5, min-fresh=1", 0),
        ("x-max-age=5", 0),
    ],
)
def test_what_is_accepted(directives: str, age: int) -> None:
    assert max_age_of(directives) == age


@pytest.mark.parametrize("standby_url", ["sqlite:////tmp/x.db", "https://h", "nonsense"])
def test_what_can_be_no_standby(standby_url: str) -> None:
    with pytest.raises(InvalidInputError, match="Only a registry in PostgreSQL has a standby"):
        ServiceSettings("postgresql://h/d", standby_url=standby_url)


@pytest.fixture(scope="module")
def servers() -> Iterator[Pair]:
    with pair() as servers:
        upgrade(servers.primary.url())
        with open_store(servers.primary.url()) as store:
            for source_name in ("s", "sales"):
                token = store.register_source(source_name, "ann").access_token
                store.register_provider(f"p-{source_name}", token)
                key = PartitionKey(source_name, f"p-{source_name}", hours(0, 1))
                store.lock(key, register=True)
                store.unlock(key)
        servers.wait_until_replayed()
        yield servers


@pytest.fixture(scope="module")
def service(servers: Pair) -> Iterator[ServiceProcess]:
    variables = {"PARTITION_REGISTRY_STANDBY_URL": servers.standby.url()}
    with ServiceProcess(servers.primary.url(), variables=variables) as service:
        yield service


@pytest.fixture
def http(service: ServiceProcess) -> Iterator[httpx.Client]:
    with client(service) as http:
        wait_until_the_standby_answers(http)
        yield http


def by_standby(http: httpx.Client) -> float:
    return metric(http, "partition_registry_aged_answers_total", answered_by="standby")


def wait_until_the_standby_answers(http: httpx.Client, headers: Mapping[str, str] = LONG) -> None:
    before = by_standby(http)

    def answers() -> bool:
        http.get("/api/v1/readiness", params=QUESTION, headers=headers).raise_for_status()
        return by_standby(http) > before

    wait_until(answers, what="an answer of the standby", timeout=60)


READING = {
    "/api/v1/readiness": QUESTION,
    "/sources/s/check_readiness": HOUR,
    "/api/v1/source": {"source_name": "s"},
    "/api/v1/sources": {},
    "/api/v1/provider": {"provider_name": "p-s"},
    "/api/v1/providers": {},
    "/api/v1/partition": {**QUESTION, "provider_name": "p-s"},
    "/api/v1/partitions": {"source_name": "s"},
    "/api/v1/locks": {},
    "/api/v1/locks/count": {},
    "/api/v1/overview": {"source_name": "s"},
    "/api/v1/overviews": {},
    "/api/v1/timeline": QUESTION,
    "/api/v1/events/latest": {"source_name": "s"},
}


@pytest.mark.postgres
class TestService:
    @pytest.mark.parametrize("path", READING)
    def test_reading(self, http: httpx.Client, path: str) -> None:
        before = by_standby(http)
        aged = http.get(path, params=READING[path], headers=LONG).raise_for_status()
        assert by_standby(http) > before
        before = by_standby(http)
        assert http.get(path, params=READING[path]).raise_for_status().json() == aged.json()
        assert by_standby(http) == before

    def test_many_questions(self, http: httpx.Client) -> None:
        before = by_standby(http)
        body = {"questions": [QUESTION] * 3}
        answers = http.post("/api/v1/readiness", json=body, headers=LONG).json()["answers"]
        assert [each["readiness"]["is_ready"] for each in answers] == [True] * 3
        assert by_standby(http) > before

    def test_a_lock_is_in_every_answer_that_may_not_be_older(self, servers: Pair, http: httpx.Client) -> None:
        key = PartitionKey("s", "p-s", hours(0, 1))

        def is_ready(**headers: str) -> bool:
            answer = http.get("/api/v1/readiness", params=QUESTION, headers=headers).raise_for_status().json()
            return bool(answer["is_ready"])

        with open_store(servers.primary.url()) as store:
            with servers.replay_paused():
                store.lock(key)
                assert not is_ready()
                assert not is_ready(**{"Cache-Control": "no-cache"})
                assert is_ready(**LONG)
                wait_until(
                    lambda: not is_ready(**{"Cache-Control": "max-age=1"}), what="the lock", timeout=30
                )
            wait_until(lambda: not is_ready(**LONG), what="the standby", timeout=60)
            store.unlock(key)
        servers.wait_until_replayed()

    def test_the_store_of_the_service(self, service: ServiceProcess, http: httpx.Client) -> None:
        before = by_standby(http)
        with open_store(service.url) as store:
            reader = store.with_max_age(300)
            assert reader.check_readiness("s", hours(0, 1)).is_ready
            assert all(reader.check_readiness_many([Question("s", hours(0, 1))] * 2))
            assert reader.timeline("s", hours(0, 1)).partitions
            assert by_standby(http) == before + 3
            assert store.check_readiness("s", hours(0, 1)).is_ready
            assert reader.with_max_age(0).check_readiness("s", hours(0, 1)).is_ready
            assert by_standby(http) == before + 3

    def test_workers_prove_it_each_for_itself(self, servers: Pair) -> None:
        variables = {"PARTITION_REGISTRY_STANDBY_URL": servers.standby.url()}
        with (
            ServiceProcess(servers.primary.url(), "--workers", "2", variables=variables) as service,
            client(service) as http,
        ):
            wait_until_the_standby_answers(http)
            asking = "SELECT process FROM partition_registry_heartbeat"
            before = len(servers.primary.execute(asking))

            def ask(_number: int) -> bool:
                with client(service) as another:
                    return another.get("/api/v1/readiness", params=QUESTION, headers=LONG).is_success

            with ThreadPoolExecutor(16) as crowd:
                wait_until(
                    lambda: (
                        all(crowd.map(ask, range(64))) and len(servers.primary.execute(asking)) == before + 1
                    ),
                    what="the other worker's heartbeat",
                    timeout=60,
                )

    def test_who_has_no_standby_answers_all_the_same(self, servers: Pair) -> None:
        with ServiceProcess(servers.primary.url()) as service, client(service) as http:
            assert http.get("/api/v1/readiness", params=QUESTION, headers=LONG).json()["is_ready"]
            assert metric(http, "partition_registry_aged_answers_total") == 0

    def test_the_page(self, servers: Pair, service: ServiceProcess, http: httpx.Client) -> None:
        shown = (
            ("https://registry.example.com", service.url),
            ("postgresql://registry@db.example.com/registry", servers.primary.url()),
            ("postgresql://registry@standby.example.com/registry", servers.standby.url()),
        )

        def here(text: str) -> str:
            for there, it in shown:
                text = text.replace(there, it)
            return text

        wait_until_the_standby_answers(http, {"Cache-Control": "max-age=1"})
        before = by_standby(http)
        (command,) = blocks(PAGE, "bash")
        answer = subprocess.run(
            shlex.split(here(command)), check=True, capture_output=True, text=True, env={"NO_PROXY": "*"}
        )
        assert '"is_ready":false' in answer.stdout
        code = "\n".join(blocks(PAGE, "python"))
        names: dict[str, object] = {}
        exec(compile(here(code), str(PAGE), "exec"), names)
        assert not names["answer"]
        assert by_standby(http) == before + 3
