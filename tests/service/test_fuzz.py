"""Generated requests to every route that the OpenAPI document describes. ``make fuzz`` sends many more."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.server.settings import ServiceSettings
from airflow_provider_partition_registry.store.factory import open_database
from testbed.service import ServiceThread
from tests.service.calling import ADMINISTRATOR_TOKEN, bearer, sqlite_at

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
HANDING_OUT = {
    "/api/v1/sources",
    "/api/v1/providers",
    "/api/v1/tokens/rotate",
    "/sources/register",
    "/providers/register",
}
TOKEN = re.compile(rf"prs_[0-9a-f]{{16}}_[A-Za-z0-9_-]{{20,}}|{ADMINISTRATOR_TOKEN}")
# In everyday runs 10 per route, nightly more than 800.
EXAMPLES = max(10, settings().max_examples // 6)
bounded = settings(
    max_examples=EXAMPLES,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    deadline=None,
)


class Lines(logging.Handler):
    """Keeps everything that is logged, at any level."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.text: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.text.append(f"{record.getMessage()} {record.__dict__}")


@pytest.fixture(scope="module")
def log() -> Iterator[Lines]:
    lines, root = Lines(), logging.getLogger("airflow_provider_partition_registry")
    root.addHandler(lines)
    root.setLevel(logging.DEBUG)
    yield lines
    root.setLevel(logging.NOTSET)
    root.removeHandler(lines)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    registry = sqlite_at(tmp_path_factory.mktemp("fuzz"))
    with open_database(registry, pool_size=8) as store:
        token = store.register_source("sales", "ann").access_token
        store.register_provider("nightly-load", token)
        store.lock(PartitionKey("sales", "nightly-load", Interval("2026-11-01", "2026-11-02")), register=True)
        told = ServiceSettings(
            registry, administrator_token=ADMINISTRATOR_TOKEN, wrong_tokens_per_minute=1_000_000
        )
        with ServiceThread(told, store) as service:
            service.app.state.service.long_polls.end()  # nothing waits, and streams end at once
            yield service.url


def test_whatever_is_sent(url: str, log: Lines) -> None:
    sent = 0

    def send(case: schemathesis.Case) -> None:
        nonlocal sent
        answer = case.call(base_url=url, headers={**bearer(ADMINISTRATOR_TOKEN), **dict(case.headers or {})})
        sent += 1
        case.validate_response(answer, checks=CHECKS)
        if case.path not in HANDING_OUT:
            assert not TOKEN.search(answer.text)
        assert not TOKEN.search(str(answer.headers))
        assert ADMINISTRATOR_TOKEN not in answer.text

    for operation in schemathesis.openapi.from_url(f"{url}/openapi.json").get_all_operations():
        bounded(given(operation.ok().as_strategy())(send))()
    print(f"{sent} requests")
    assert sent > 30 * EXAMPLES // 2
    assert len(log.text) > 100
    assert not TOKEN.search("\n".join(log.text))
