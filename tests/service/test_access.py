"""Who may call what: every route, for every kind of caller, in every mode."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from airflow_provider_partition_registry.domain.errors import ConsentRequiredError
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.server.api import following
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.factory import open_store
from tests.service.calling import ADMINISTRATOR_TOKEN, DAY, END, START, bearer, served, sqlite_at

# none: no token. wrong: a token that does not exist. reader: a provider without a grant here. own: the provider that
# the call is about. owner: the source's. other: another source's. admin: the administrator's.
CALLERS = ("none", "wrong", "reader", "own", "owner", "other", "admin")

WRITES = """
                                      none wrong reader own owner other admin
POST /api/v1/providers                 401   403   403  403  201   201   403
POST /api/v1/partitions                401   403   403  201  201   403   201
POST /api/v1/partitions/lock           401   403   403  200  200   403   200
POST /api/v1/partitions/renew          401   403   403  200  200   403   200
POST /api/v1/partitions/unlock         401   403   403  200  200   403   200
POST /api/v1/partitions/fail           401   403   403  200  200   403   200
POST /api/v1/partitions/release        401   403   403  200  200   403   200
POST /api/v1/partitions/register-many  401   403   403  201  201   403   201
POST /api/v1/partitions/lock-many      401   403   403  200  200   403   200
POST /api/v1/partitions/unlock-many    401   403   403  200  200   403   200
POST /api/v1/partitions/fail-many      401   403   403  200  200   403   200
POST /api/v1/partitions/release-many   401   403   403  200  200   403   200
POST /api/v1/partitions/force-release  401   403   403  403  200   403   200
POST /api/v1/partitions/invalidate     401   403   403  403  200   403   200
POST /api/v1/partitions/withdraw       401   403   403  403  200   403   200
GET  /api/v1/tokens                    401   403   403  200  403   403   200
GET  /api/v1/tokens/self               401   403   200  200  200   200   403
GET  /api/v1/token                     401   403   404  200  404   404   200
POST /api/v1/tokens/rotate             401   403   403  201  403   403   201
POST /api/v1/tokens/revoke             401   403   404  200  404   404   200
POST /api/v1/grants/revoke             401   403   403  403  200   403   200
POST /api/v1/sources/set-uri           401   403   403  403  200   403   200
POST /providers/register               401   403   403  403  200   200   403
POST /partitions/register              401   403   403  200  200   403   200
POST /partitions/lock                  401   403   403  200  200   403   200
POST /partitions/unlock                401   403   403  200  200   403   200
"""
REGISTRATION_BY_ANYBODY = """
POST /api/v1/sources                   201   201   201  201  201   201   201
POST /sources/register                 200   200   200  200  200   200   200
"""
REGISTRATION_BY_THE_ADMINISTRATOR = """
POST /api/v1/sources                   401   403   403  403  403   403   201
POST /sources/register                 401   403   403  403  403   403   200
"""
READS = """
GET  /api/v1/sources                   200   200   200  200  200   200   200
GET  /api/v1/source                    200   200   200  200  200   200   200
GET  /api/v1/providers                 200   200   200  200  200   200   200
GET  /api/v1/provider                  200   200   200  200  200   200   200
GET  /api/v1/partitions                200   200   200  200  200   200   200
GET  /api/v1/partition                 200   200   200  200  200   200   200
GET  /api/v1/readiness                 200   200   200  200  200   200   200
POST /api/v1/readiness                 200   200   200  200  200   200   200
POST /api/v1/readiness/condition       200   200   200  200  200   200   200
GET  /api/v1/changed-since             200   200   200  200  200   200   200
GET  /api/v1/events                    200   200   200  200  200   200   200
GET  /api/v1/events/last               200   200   200  200  200   200   200
GET  /api/v1/events/stream             200   200   200  200  200   200   200
GET  /api/v1/events/latest             200   200   200  200  200   200   200
GET  /api/v1/events/grains             200   200   200  200  200   200   200
GET  /api/v1/events/grains/stream      200   200   200  200  200   200   200
GET  /api/v1/locks                     200   200   200  200  200   200   200
GET  /api/v1/locks/count               200   200   200  200  200   200   200
GET  /api/v1/overview                  200   200   200  200  200   200   200
GET  /api/v1/overviews                 200   200   200  200  200   200   200
GET  /api/v1/timeline                  200   200   200  200  200   200   200
GET  /sources/S/check_readiness        200   200   200  200  200   200   200
"""
PRIVATE_READS = READS.replace(" 200   200   200  200", " 401   403   200  200")
OPEN_WRITES = """
POST /api/v1/partitions                201   201   201  201  201   201   201
POST /api/v1/partitions/lock           200   200   200  200  200   200   200
POST /api/v1/partitions/withdraw       200   200   200  200  200   200   200
POST /api/v1/tokens/rotate             201   201   201  201  201   201   201
POST /api/v1/tokens/revoke             200   200   200  200  200   200   200
POST /api/v1/grants/revoke             200   200   200  200  200   200   200
POST /api/v1/sources/set-uri           200   200   200  200  200   200   200
POST /partitions/register              200   200   200  200  200   200   200
POST /partitions/lock                  200   200   200  200  200   200   200
POST /partitions/unlock                200   200   200  200  200   200   200
POST /api/v1/providers                 401   403   403  403  201   201   403
POST /providers/register               401   403   403  403  200   200   403
"""
ADMINISTRATOR = {"administrator_token": ADMINISTRATOR_TOKEN}
MODES: dict[str, tuple[dict[str, Any], str]] = {
    "with an administrator": (ADMINISTRATOR, WRITES + REGISTRATION_BY_THE_ADMINISTRATOR + READS),
    "without": ({}, REGISTRATION_BY_ANYBODY),
    "private reads": ({**ADMINISTRATOR, "has_private_reads": True}, PRIVATE_READS),
    "open": ({"is_open": True}, OPEN_WRITES + REGISTRATION_BY_ANYBODY),
}
ROWS = [(mode, row) for mode, (_, table) in MODES.items() for row in table.splitlines() if "/" in row]
TAKING_NOTHING = [
    f"GET /api/v1/{each}" for each in ("sources", "overviews", "locks/count", "events/last", "tokens/self")
]
WHY = {"reason": "wrong", "by": "ann"}
_numbers = itertools.count()


class Case:
    """A source with a provider and a partition, in the state that the call needs."""

    def __init__(self, store: RegistryStore, verb: str) -> None:
        number = next(_numbers)
        self.source, self.provider = f"s{number}", f"p{number}"
        owner = store.register_source(self.source, "ann").access_token
        other = store.register_source(f"t{number}", "ann").access_token
        own = store.register_provider(self.provider, owner).access_token
        reader = store.register_provider(f"r{number}", other).access_token
        self.tokens = {
            "none": None,
            "wrong": "prs_0123456789abcdef_wrong",
            "admin": ADMINISTRATOR_TOKEN,
            "owner": owner,
            "other": other,
            "own": own,
            "reader": reader,
        }
        self.token_id = store.identify_token(str(own)).id
        place = PartitionKey(self.source, self.provider, Interval(START, END))
        verb = verb.removesuffix("-many")
        if verb not in ("partitions", "register"):
            store.register_partition(place)
        if verb in ("renew", "unlock", "fail", "release", "force-release", "invalidate", "withdraw"):
            store.lock(place)
        if verb in ("invalidate", "withdraw"):
            store.unlock(place)

    def parameters(self, route: str) -> dict[str, Any]:
        lease: dict[str, Any] = {"generation": 1, "lease_seconds": 60}
        source, provider = {"source_name": self.source}, {"provider_name": self.provider}
        place = {**source, **provider, **DAY}
        many = {**source, **provider, "partitions": [DAY]}
        new_source = {"source_name": f"{self.source}-new", "owner": "ann"}
        new_provider = {"provider_name": f"{self.provider}-new"}
        return {
            "POST /api/v1/sources": new_source,
            "POST /sources/register": new_source,
            "POST /api/v1/providers": new_provider,
            "POST /providers/register": new_provider,
            "POST /api/v1/partitions/renew": {**place, **lease},
            "POST /api/v1/partitions/fail": {**place, "reason": "disk full"},
            **{
                f"POST /api/v1/partitions/{each}-many": many
                for each in ("register", "lock", "unlock", "release")
            },
            "POST /api/v1/partitions/fail-many": {**many, "reason": "disk full"},
            "POST /api/v1/partitions/force-release": {**place, **WHY},
            "POST /api/v1/partitions/invalidate": {**place, **WHY},
            "POST /api/v1/partitions/withdraw": {**place, **WHY},
            "GET /api/v1/tokens": provider,
            "GET /api/v1/token": {"token_id": self.token_id},
            "POST /api/v1/tokens/rotate": provider,
            "POST /api/v1/tokens/revoke": {"token_id": self.token_id, **WHY},
            "POST /api/v1/grants/revoke": {**source, **provider, **WHY},
            "POST /api/v1/sources/set-uri": {**source, "uri": "s3://bucket/sales"},
            "POST /api/v1/readiness": {"questions": [{**source, **DAY}]},
            "POST /api/v1/readiness/condition": {"condition": self.source, **DAY},
            "GET /api/v1/changed-since": {**source, **DAY, "as_of": 1},
            "GET /api/v1/provider": provider,
            "GET /api/v1/providers": source,
            "GET /api/v1/overview": source,
            "GET /api/v1/partitions": {**source, **DAY},
            "GET /api/v1/locks": {"holder_prefix": self.provider},
            "GET /api/v1/readiness": {**source, **DAY},
            "GET /api/v1/timeline": {**source, **DAY},
            "GET /api/v1/events/grains": {**source, "grain": "day"},
            "GET /api/v1/events/grains/stream": {**source, "grain": "day"},
            **{each: {} for each in TAKING_NOTHING},
            "GET /api/v1/locks/count": {},
        }.get(route, source if "/source" in route or "/events" in route else place)


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[httpx.Client, Any]]]:
    with ExitStack() as stack:
        yield {
            mode: stack.enter_context(
                served(sqlite_at(tmp_path_factory.mktemp("access")), wrong_tokens_per_minute=1000, **settings)
            )
            for mode, (settings, _) in MODES.items()
        }


def status(client: httpx.Client, method: str, path: str, parameters: Any, headers: dict[str, str]) -> int:
    is_body = method == "POST" and path.startswith("/api/")
    given = {"json": parameters} if is_body else {"params": parameters}
    with client.stream(method, path, headers=headers, **given) as answer:
        return answer.status_code


@pytest.mark.parametrize(("mode", "row"), ROWS, ids=lambda text: " ".join(text.split()[:2]))
def test_who_may(services: dict[str, tuple[httpx.Client, Any]], mode: str, row: str) -> None:
    method, path, *expected = row.split()
    client, store = services[mode]
    found = []
    for caller in CALLERS:
        case = Case(store, path.rpartition("/")[2])
        parameters = case.parameters(f"{method} {path}")
        if path.startswith("/sources/S/"):
            parameters = DAY
        where = path.replace("/S/", f"/{case.source}/")
        headers = bearer(case.tokens[caller])
        found.append(str(status(client, method, where, parameters, headers)))
    assert dict(zip(CALLERS, found, strict=True)) == dict(zip(CALLERS, expected, strict=True))


@pytest.mark.parametrize("verb", ["register", "lock", "unlock"])
def test_the_original_s_routes_take_the_token_as_a_parameter_too(
    services: dict[str, tuple[httpx.Client, Any]], verb: str
) -> None:
    client, store = services["with an administrator"]
    case = Case(store, verb)
    place = {**case.parameters("POST /partitions/lock")}
    path = f"/partitions/{verb}"
    assert client.post(path, params={**place, "access_token": "wrong"}).status_code == 403
    assert client.post(path, params={**place, "access_token": case.tokens["own"]}).status_code == 200


def consenting(case: Case) -> dict[str, str | None]:
    """The tokens with which ``r``, a provider of another source, might be granted the case's source."""
    return {"nobody's": None, "another's": case.tokens["own"], "its own": case.tokens["reader"]} | {
        "the source's": case.tokens["owner"],
        "its own source's": case.tokens["other"],
        "the administrator's": ADMINISTRATOR_TOKEN,
        "a wrong one": "prs_0123456789abcdef_wrong",
        "no token at all": "nonsense",
    }


AGREEMENTS = {"its own", "the administrator's"}


@pytest.mark.parametrize("mode", ["with an administrator", "without", "open"])
@pytest.mark.parametrize("route", ["/api/v1/providers", "/providers/register"])
def test_a_provider_that_exists_is_let_into_a_further_source_by_both_sides_alone(
    services: dict[str, tuple[httpx.Client, Any]], mode: str, route: str
) -> None:
    client, store = services[mode]
    who_may = {"open": set(consenting(Case(store, "lock"))), "without": {"its own"}}.get(mode, AGREEMENTS)
    let_in = set()
    for who in consenting(Case(store, "lock")):
        case = Case(store, "lock")
        (provider,) = store.list_providers(case.source.replace("s", "t")).items
        agreeing = consenting(case)[who]
        if route.startswith("/api/"):
            body = {"provider_name": provider.name, "provider_token": agreeing}
            answer = client.post(route, json=body, headers=bearer(case.tokens["owner"]))
        else:
            params = {"provider_name": provider.name, "access_token": case.tokens["owner"]}
            answer = client.post(route, params=params, headers=bearer(agreeing))
        granted = store.get_provider(provider.name).source_names
        assert (answer.status_code in (200, 201)) is (case.source in granted)
        assert answer.status_code in (200, 201, 403)
        if case.source in granted:
            let_in.add(who)
            assert "prs_" not in answer.text
        elif who == "nobody's":
            assert "only if it agrees" in answer.text
    assert let_in == who_may


def test_who_takes_a_provider_s_name_first_writes_to_nobody_else_s_source(
    services: dict[str, tuple[httpx.Client, Any]],
) -> None:
    client, _ = services["without"]

    def registered(path: str, headers: dict[str, str] | None = None, **body: str) -> str:
        return str(client.post(path, json=body, headers=headers).json()["access_token"])

    squatting, real = (
        registered("/api/v1/sources", source_name=name, owner="ann") for name in ("squatter", "real")
    )
    taken = registered("/api/v1/providers", bearer(squatting), provider_name="nightly")
    refused = client.post("/api/v1/providers", json={"provider_name": "nightly"}, headers=bearer(real))
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "consent_required")
    place = {"source_name": "real", "provider_name": "nightly", **DAY, "register": True}
    assert client.post("/api/v1/partitions/lock", json=place, headers=bearer(taken)).status_code == 403
    with (
        open_store(str(client.base_url), access_token=taken) as of_provider,
        open_store(str(client.base_url)) as of_nobody,
    ):
        with pytest.raises(ConsentRequiredError):
            of_nobody.register_provider("nightly", real)
        assert of_nobody.register_provider("mine", real).access_token
        assert of_provider.register_provider("nightly", real).provider.source_names == ("real", "squatter")


def test_every_route_is_in_the_table(services: dict[str, tuple[httpx.Client, Any]]) -> None:
    client, _ = services["open"]
    paths = client.get("/openapi.json").json()["paths"]
    described = {
        (method.upper(), path.replace("{source_name}", "S"))
        for path, methods in paths.items()
        for method in methods
        if not path.startswith(("/healthz", "/readyz", "/metrics"))
    }
    assert described == {tuple(row.split()[:2]) for _, row in ROWS}


def test_a_stream_ends_with_the_token_that_opened_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(sqlite_at(tmp_path), has_private_reads=True) as (client, store):
        told, untold = (store.register_source(name, "ann").access_token for name in ("told", "untold"))
        path = "/api/v1/events/stream"
        with client.stream("GET", path, headers=bearer(told)) as stream:
            store.revoke_token(store.identify_token(told).id, reason="leaked", by="ann")
            store.register_source("secret", "ann")
            assert "event:" not in stream.read().decode()
        monkeypatch.setattr(following, "RECHECKED_EVERY", 0.1)
        of_one = {"source_name": "untold"}  # a source whose history has no events about tokens
        with client.stream("GET", path, params=of_one, headers=bearer(untold)) as stream:
            store.rotate_token(store.identify_token(untold).principal)
            assert stream.read() == b""
