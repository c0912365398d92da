"""What the service writes into its log, and what it never does."""

from __future__ import annotations

import json
import logging
import re
import time

import pytest

from airflow_provider_partition_registry.server.observing import logs
from testbed.service_process import ServiceProcess
from tests.service.conftest import HOUR, PLACE, QUESTION, client, metric

PLAIN, QUOTED = "administrator-of-this-test", 'the "administrator"\\of this test'
UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.mark.parametrize(
    ("administrator", "reads"),
    [(PLAIN, ()), (QUOTED, ("--private-reads",))],
    ids=["open reads", "private reads"],
)
def test_the_log_is_json_in_utc_with_request_ids_and_without_any_token(
    sqlite_url: str, administrator: str, reads: tuple[str, ...]
) -> None:
    with (
        ServiceProcess(sqlite_url, "--administrator-token", administrator, *reads) as service,
        client(service) as http,
    ):
        bearer = {"Authorization": f"Bearer {administrator}"}
        source = http.post("/sources/register", params={"source_name": "s", "owner": "ann"}, headers=bearer)
        of_source = source.json()["registered_object"]["access_token"]["token"]
        named = {"provider_name": "p", "access_token": of_source}
        provider = http.post("/providers/register", params=named)
        of_provider = provider.json()["registered_object"]["access_token"]["token"]
        tokens = [administrator, of_source, of_provider, "prs_wrong_token-that-nobody-has"]
        for token in tokens:
            for verb in ("register", "lock", "unlock", "nothing-of-the-kind"):
                http.post(f"/partitions/{verb}", params={**PLACE, "access_token": token})
                http.post(
                    f"/api/v1/partitions/{verb}", json=PLACE, headers={"Authorization": f"Bearer {token}"}
                )
            http.get("/sources/s/check_readiness", params={**HOUR, "access_token": token})
            http.get("/sources/s/check_readiness", params={"start": token, "end": "x", "access_token": token})
            http.get("/api/v1/events/stream", params={"after": token, "access_token": token})
            http.get("/api/v1/tokens/self", headers={"Authorization": f"Bearer {token}"})
            http.get(
                "/api/v1/readiness", params={**QUESTION, "token": token}, headers={"X-Request-ID": "mine"}
            )
            misplaced = http.get(f"/sources/{token}", headers={"X-Request-ID": token})
            assert token not in str(misplaced.headers)
            assert token not in http.get("/metrics").text
        assert metric(http, "partition_registry_requests_total", status="500") == 0

    text = service.log_text
    lines = [json.loads(line) for line in text.splitlines()]
    assert all(UTC.fullmatch(line["at"]) for line in lines)
    assert {"level", "logger", "message", "request_id"} <= set.intersection(*[set(line) for line in lines])
    assert "mine" in {line["request_id"] for line in lines}
    assert not [line for line in lines if "color_message" in line or "plugins" in line["logger"]]
    requests = [line for line in lines if "status" in line]
    assert {"method", "path", "status", "milliseconds", "client"} <= set(requests[0])
    assert not [line for line in requests if line["path"] in ("/metrics", "/healthz")]
    for token in tokens:
        assert token not in text
        assert json.dumps(token)[1:-1] not in text
        # A token is prs_<id>_<secret>, and the secret may itself contain underscores.
        assert (token.removeprefix("prs_").partition("_")[2] or token) not in text


def test_warnings_that_outsiders_can_cause_are_rate_limited(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: seconds[0])
    seldom = logs.Seldom(logging.getLogger("of_this_test"), pause=10)
    for second in (0, 1, 9, 10, 30):
        seconds[0] = second
        seldom.warn("Refused %s.", f"client {second}")
    seldom.warn("Something else.")
    assert [each.getMessage() for each in caplog.records] == [
        "Refused client 0.",
        "Refused client 10. (2 more since the last such line.)",
        "Refused client 30.",
        "Something else.",
    ]
