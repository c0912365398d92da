"""The requests that are recorded: every route, what each may be asked, and what each refuses."""

from __future__ import annotations

from typing import Any

from tests.service.recording.exchanges import Request

API = "/api/v1"
ADMINISTRATOR = "{administrator}"


def day(number: int) -> dict[str, str]:
    """A day of January 2001."""
    return {"start": f"2001-01-{number:02}T00:00:00Z", "end": f"2001-01-{number + 1:02}T00:00:00Z"}


def key(number: int, provider: str = "loader") -> dict[str, str]:
    """A partition of ``sales``."""
    return {"source_name": "sales", "provider_name": provider, **day(number)}


def get(name: str, path: str, token: str = "", **query: str) -> Request:
    """A request that reads."""
    request: Request = {"name": name, "method": "GET", "path": path}
    if query:
        request["query"] = query
    if token:
        request["token"] = token
    return request


def post(
    name: str, path: str, body: Any, token: str = "", remember: dict[str, list[str]] | None = None
) -> Request:
    """A request that writes."""
    request: Request = {"name": name, "method": "POST", "path": path, "body": body}
    if token:
        request["token"] = token
    if remember:
        request["remember"] = remember
    return request


def original(
    name: str, path: str, query: dict[str, str], remember: dict[str, list[str]] | None = None
) -> Request:
    """A request of the original project's clients: everything is in the query."""
    request: Request = {"name": name, "method": "POST", "path": path, "query": query}
    if remember:
        request["remember"] = remember
    return request


def lock(name: str, number: int, token: str = "{loader}", **more: Any) -> Request:
    """Take a lock, by default as the provider."""
    return post(name, f"{API}/partitions/lock", {**key(number), **more}, token)


def change(name: str, verb: str, number: int, token: str = "{loader}", **more: Any) -> Request:
    """Change a partition."""
    return post(name, f"{API}/partitions/{verb}", {**key(number), **more}, token)


DECIDED = {"reason": "wrong rates", "by": "ann"}
PARTITION = {"source_name": "sales", "provider_name": "loader"}

REGISTERING: list[Request] = [
    post(
        "register a source",
        f"{API}/sources",
        {"source_name": "sales", "owner": "shop team"},
        ADMINISTRATOR,
        {"sales": ["access_token"]},
    ),
    post("register it again", f"{API}/sources", {"source_name": "sales", "owner": "x"}, ADMINISTRATOR),
    post("register a source as nobody", f"{API}/sources", {"source_name": "stock", "owner": "x"}),
    post("register a source without a name", f"{API}/sources", {"owner": "x"}, ADMINISTRATOR),
    post(
        "register a source with an empty name",
        f"{API}/sources",
        {"source_name": "", "owner": "x"},
        ADMINISTRATOR,
    ),
    post(
        "register a provider",
        f"{API}/providers",
        {"provider_name": "loader"},
        "{sales}",
        {"loader": ["access_token"]},
    ),
    post("register a provider again", f"{API}/providers", {"provider_name": "loader"}, "{sales}"),
    post(
        "register a provider with a wrong token", f"{API}/providers", {"provider_name": "other"}, "prs_wrong"
    ),
    post(
        "register a provider with a provider's token",
        f"{API}/providers",
        {"provider_name": "other"},
        "{loader}",
    ),
    post(
        "register a second source",
        f"{API}/sources",
        {"source_name": "stock", "owner": "store team"},
        ADMINISTRATOR,
        {"stock": ["access_token"]},
    ),
    post("grant without consent", f"{API}/providers", {"provider_name": "loader"}, "{stock}"),
    post(
        "grant with consent",
        f"{API}/providers",
        {"provider_name": "loader", "provider_token": "{loader}"},
        "{stock}",
    ),
    get("a source", f"{API}/source", source_name="sales"),
    get("an unknown source", f"{API}/source", source_name="nowhere"),
    get("sources", f"{API}/sources", limit="1"),
    get("sources after one", f"{API}/sources", after="sales"),
    get("a provider", f"{API}/provider", provider_name="loader"),
    get("an unknown provider", f"{API}/provider", provider_name="nobody"),
    get("providers", f"{API}/providers"),
    get("providers of a source", f"{API}/providers", source_name="stock"),
    get("providers of an unknown source", f"{API}/providers", source_name="nowhere"),
]

WRITING: list[Request] = [
    post("register a partition", f"{API}/partitions", key(1), "{loader}"),
    post("register a partition again", f"{API}/partitions", key(1), "{loader}"),
    post("register a partition as nobody", f"{API}/partitions", key(2)),
    post("register a partition with a source's token", f"{API}/partitions", key(2), "{sales}"),
    lock("lock", 1),
    lock("lock again", 1),
    lock("lock as somebody else", 1, holder="host-2"),
    lock("lock what is unknown", 9),
    change("unlock", "unlock", 1, generation=2),
    change("unlock again", "unlock", 1, generation=2),
    change("unlock with an old generation", "unlock", 1, generation=1),
    lock(
        "lock with everything",
        2,
        holder={"identity": "host-1/nightly", "details": {"host": "host-1", "log_url": "https://log/1"}},
        lease_seconds=86_400,
        exclusive=True,
        register=True,
    ),
    change("renew", "renew", 2, generation=1, lease_seconds=172_800),
    change("renew with an old generation", "renew", 2, generation=0, lease_seconds=60),
    change("fail", "fail", 2, holder="host-1/nightly", reason="disk full"),
    change("fail again", "fail", 2, generation=1, reason="disk full"),
    lock("lock what failed", 2),
    change("release", "release", 2, generation=2),
    change("release again", "release", 2, generation=2),
    lock("lock a third day", 3, register=True),
    change("force a release", "force-release", 3, ADMINISTRATOR, **DECIDED),
    change("force a release of nothing", "force-release", 3, ADMINISTRATOR, **DECIDED),
    lock("lock it once more", 3),
    change("force a release to ready", "force-release", 3, ADMINISTRATOR, to="ready", **DECIDED),
    change("invalidate", "invalidate", 1, ADMINISTRATOR, **DECIDED),
    change("invalidate again", "invalidate", 1, ADMINISTRATOR, **DECIDED),
    change("invalidate as a provider", "invalidate", 3, "{loader}", **DECIDED),
    change("withdraw", "withdraw", 1, ADMINISTRATOR, **DECIDED),
    change("withdraw again", "withdraw", 1, ADMINISTRATOR, **DECIDED),
    change("unlock what is not locked", "unlock", 1),
    change("a malformed interval", "lock", 4, end="2001-01-04T00:00:00Z"),
    change("a naive instant", "lock", 4, end="2001-01-05T00:00:00", register=True),
    change("an instant of another zone", "lock", 5, start="2001-01-05T01:00:00+01:00", register=True),
    change("a malformed lease", "lock", 4, lease_seconds="soon"),
    change("an unknown field", "lock", 4, colour="red"),
    {"name": "no JSON", "method": "POST", "path": f"{API}/partitions/lock", "text": "{", "token": "{loader}"},
]

READING: list[Request] = [
    get("a partition", f"{API}/partition", **PARTITION, **day(2)),
    get("an unknown partition", f"{API}/partition", **PARTITION, **day(20)),
    get("partitions", f"{API}/partitions", source_name="sales", limit="2"),
    get("partitions of an interval", f"{API}/partitions", source_name="sales", **day(3)),
    get(
        "partitions of half an interval",
        f"{API}/partitions",
        source_name="sales",
        start="2001-01-01T00:00:00Z",
    ),
    get("partitions of an unknown source", f"{API}/partitions", source_name="nowhere"),
    get("locks", f"{API}/locks"),
    get("locks of a holder", f"{API}/locks", holder_prefix="host-"),
    get("number of locks", f"{API}/locks/count"),
    get("ready", f"{API}/readiness", source_name="sales", **day(3)),
    get(
        "not ready",
        f"{API}/readiness",
        source_name="sales",
        start="2001-01-01T00:00:00Z",
        end="2001-01-08T00:00:00Z",
    ),
    get(
        "ready after",
        f"{API}/readiness",
        source_name="sales",
        published_after="2001-02-01T00:00:00Z",
        **day(3),
    ),
    get(
        "not ready after",
        f"{API}/readiness",
        source_name="sales",
        published_after="9000-01-01T00:00:00Z",
        **day(3),
    ),
    get("readiness of an unknown source", f"{API}/readiness", source_name="nowhere", **day(3)),
    get("readiness without an interval", f"{API}/readiness", source_name="sales"),
    get("readiness, waiting", f"{API}/readiness", source_name="sales", wait_seconds="0.1", **day(2)),
    post(
        "many questions",
        f"{API}/readiness",
        {"questions": [{"source_name": name, **day(3)} for name in ("sales", "stock", "nowhere")]},
    ),
    post(
        "many questions unexplained",
        f"{API}/readiness",
        {"questions": [{"source_name": name, **day(2)} for name in ("sales", "stock")], "explain": False},
    ),
    post("no question", f"{API}/readiness", {"questions": []}),
    get("changed since", f"{API}/changed-since", source_name="sales", as_of="1", **day(3)),
    get("not changed since", f"{API}/changed-since", source_name="sales", as_of="24", **day(8)),
    get("changed since the future", f"{API}/changed-since", source_name="sales", as_of="100", **day(8)),
    get(
        "changed since in an unknown source",
        f"{API}/changed-since",
        source_name="nowhere",
        as_of="1",
        **day(3),
    ),
    get("events", f"{API}/events", limit="5"),
    get("events of a source", f"{API}/events", source_name="sales", after="8"),
    get("events of an unknown source", f"{API}/events", source_name="nowhere"),
    get("events from beyond the end", f"{API}/events", after="1000000"),
    get("latest events", f"{API}/events/latest", source_name="sales", limit="2"),
    get("latest events before", f"{API}/events/latest", source_name="sales", before="8", limit="2"),
    get("last event", f"{API}/events/last"),
    get("stream", f"{API}/events/stream", after="3"),
    get("overview", f"{API}/overview", source_name="sales"),
    get("overview of an unknown source", f"{API}/overview", source_name="nowhere"),
    get("overviews", f"{API}/overviews", prefix="s"),
    get(
        "timeline",
        f"{API}/timeline",
        source_name="sales",
        start="2001-01-01T00:00:00Z",
        end="2001-01-08T00:00:00Z",
    ),
    get(
        "a coarse timeline",
        f"{API}/timeline",
        source_name="sales",
        start="2001-01-01T00:00:00Z",
        end="2001-01-08T00:00:00Z",
        resolution="2",
    ),
    get("timeline of an unknown source", f"{API}/timeline", source_name="nowhere", **day(3)),
]

ORIGINAL: list[Request] = [
    original("original: register a source", "/sources/register", {"source_name": "press", "owner": "ann"}),
    {
        **original(
            "original: register a source as administrator",
            "/sources/register",
            {"source_name": "press", "owner": "ann"},
            {"press": ["registered_object", "access_token", "token"]},
        ),
        "token": ADMINISTRATOR,
    },
    original(
        "original: register a provider",
        "/providers/register",
        {"provider_name": "printer", "access_token": "{press}"},
        {"printer": ["registered_object", "access_token", "token"]},
    ),
    *(
        original(
            f"original: {name}",
            f"/partitions/{verb}",
            {
                "source_name": "press",
                "provider_name": "printer",
                "access_token": "{printer}",
                **day(1),
                **more,
            },
        )
        for name, verb, more in (
            ("register a partition", "register", {}),
            ("register it again", "register", {}),
            ("lock", "lock", {"holder": "press-1"}),
            ("lock as somebody else", "lock", {"holder": "press-2"}),
            ("unlock", "unlock", {"holder": "press-1"}),
            ("unlock again", "unlock", {"holder": "press-1"}),
            (
                "lock for a while",
                "lock",
                {"holder": "press-1", "lease_seconds": "86400", "exclusive": "true"},
            ),
            ("fail", "unlock", {"holder": "press-1", "reason": "paper jam"}),
        )
    ),
    get("original: ready", "/sources/press/check_readiness", **day(1)),
    get("original: not ready", "/sources/press/check_readiness", **day(2)),
    get("original: unknown source", "/sources/nowhere/check_readiness", **day(2)),
    get("original: no interval", "/sources/press/check_readiness"),
    original(
        "original: lock as nobody",
        "/partitions/lock",
        {"source_name": "press", "provider_name": "printer", **day(1)},
    ),
]

TOKENS: list[Request] = [
    get("my token", f"{API}/tokens/self", "{loader}"),
    get("nobody's token", f"{API}/tokens/self"),
    get("a wrong token", f"{API}/tokens/self", "prs_wrong"),
    {
        **get("tokens of a provider", f"{API}/tokens", "{loader}", provider_name="loader"),
        "remember": {"loader id": ["items", "0", "id"]},
    },
    get("tokens of somebody else", f"{API}/tokens", "{loader}", source_name="sales"),
    get("a token", f"{API}/token", "{loader}", token_id="{loader id}"),
    get("an unknown token", f"{API}/token", ADMINISTRATOR, token_id="0123456789abcdef"),
    post(
        "rotate",
        f"{API}/tokens/rotate",
        {"provider_name": "loader", "overlap_seconds": 3600, "expires_in_seconds": 86_400},
        "{loader}",
        {"new": ["access_token"], "new id": ["token", "id"]},
    ),
    post("rotate for nobody", f"{API}/tokens/rotate", {}, ADMINISTRATOR),
    post("rotate for an unknown source", f"{API}/tokens/rotate", {"source_name": "nowhere"}, ADMINISTRATOR),
    post("revoke a token", f"{API}/tokens/revoke", {"token_id": "{loader id}", **DECIDED}, ADMINISTRATOR),
    post("revoke it again", f"{API}/tokens/revoke", {"token_id": "{loader id}", **DECIDED}, ADMINISTRATOR),
    get("a revoked token", f"{API}/tokens/self", "{loader}"),
    post(
        "revoke a grant",
        f"{API}/grants/revoke",
        {"source_name": "stock", "provider_name": "loader", **DECIDED},
        ADMINISTRATOR,
    ),
    post(
        "revoke it once more",
        f"{API}/grants/revoke",
        {"source_name": "stock", "provider_name": "loader", **DECIDED},
        ADMINISTRATOR,
    ),
    lock("lock without a grant", 1, "{new}", source_name="stock", register=True),
]

OPERATING: list[Request] = [
    get("alive", "/healthz"),
    get("able to serve", "/readyz"),
    get("metrics", "/metrics"),
    get("no such page", f"{API}/nothing"),
    {"name": "no such method", "method": "DELETE", "path": f"{API}/sources"},
]

REQUESTS: list[Request] = [*REGISTERING, *WRITING, *READING, *ORIGINAL, *TOKENS, *OPERATING]
