"""One valid call of every method, whose arguments are replaced by invalid ones, one at a time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from airflow_provider_partition_registry.domain.models import PartitionKey, PartitionState
from airflow_provider_partition_registry.domain.principals import Principal, PrincipalKind
from airflow_provider_partition_registry.store.contract import RegistryReader, RegistryStore, RegistryViewer
from tests.contract.homes import hours

_place = {"source_name": "s"}
_partition = {**_place, "provider_name": "p", "interval": hours(0, 1)}
_decision = {"reason": "wrong numbers", "by": "ann"}
_principal = {"principal": Principal(PrincipalKind.SOURCE, "s")}
_token = {"token_id": "0123456789abcdef"}

CALLS: dict[str, dict[str, Any]] = {
    "check_readiness": {**_place, "interval": hours(0, 1), "published_after": None},
    "check_readiness_many": {"questions": []},
    "changed_since": {**_place, "interval": hours(0, 1), "as_of": 0},
    "get_source": _place,
    "list_sources": {"after": None, "limit": 10},
    "get_provider": {"provider_name": "p"},
    "list_providers": {**_place, "after": None, "limit": 10},
    "identify_token": {"access_token": "prs_1_2"},
    "get_token": _token,
    "list_tokens": {**_principal, "after": None, "limit": 10},
    "get_partition": _partition,
    "list_partitions": {**_place, "interval": hours(0, 1), "after": None, "limit": 10},
    "events": {**_place, "after": 0, "limit": 10},
    "grain_events": {**_place, "grain": "day", "timezone": "UTC", "after": 0, "limit": 10},
    "count_locks": {},
    "list_locks": {"holder_prefix": None, "after": None, "limit": 10},
    "last_position": {},
    "latest_events": {**_place, "before": None, "limit": 10},
    "get_overview": _place,
    "list_overviews": {"prefix": None, "after": None, "limit": 10},
    "timeline": {**_place, "interval": hours(0, 1), "resolution": 10},
    "register_source": {"source_name": "new", "owner": "ann", "uri": None},
    "set_source_uri": {**_place, "uri": None},
    "register_provider": {"provider_name": "new", "access_token": "prs_1_2"},
    "revoke_grant": {**_place, "provider_name": "p", **_decision},
    "rotate_token": {**_principal, "overlap": timedelta(0), "expires_in": None},
    "revoke_token": {**_token, **_decision},
    "register_partition": {**_partition, "interval": hours(7, 8)},
    "lock": {
        **_partition,
        "holder": None,
        "lease": None,
        "exclusive": False,
        "register": False,
        "keep": False,
    },
    "register_many": {**_partition, "interval": hours(7, 8)},
    "lock_many": {
        **_partition,
        "holder": None,
        "lease": None,
        "exclusive": False,
        "register": False,
        "keep": False,
    },
    "unlock_many": {**_partition, "holder": None, "generations": None},
    "fail_many": {**_partition, "holder": None, "generations": None, "reason": "disk full"},
    "release_many": {**_partition, "holder": None, "generations": None},
    "renew": {**_partition, "generation": 1, "lease": timedelta(hours=1)},
    "unlock": {**_partition, "holder": None, "generation": None},
    "fail": {**_partition, "holder": None, "generation": None, "reason": "disk full"},
    "release": {**_partition, "holder": None, "generation": None},
    "force_release": {**_partition, **_decision},
    "invalidate": {**_partition, **_decision},
    "withdraw": {**_partition, **_decision},
}
READS = {*RegistryViewer.__dict__, *RegistryReader.__dict__}
WRITES = [name for name in CALLS if name not in READS]
NEEDING_A_GRANT = [
    *("register_partition", "lock", "renew", "unlock", "fail", "release"),
    *("register_many", "lock_many", "unlock_many", "fail_many", "release_many"),
]

LONG_NAME, LONG_TEXT = "x" * 251, "x" * 4_001
_not_text = [None, 5, b"bytes", ["list"], object()]
_not_number = ["1", 1.5, object(), [1]]
_too_great = [2**63, 2**70, -(2**70)]

BAD: dict[str, list[Any]] = {
    "source_name": ["", " ", "a b", "a\tb", "a\x00b", "\ud800", "\u200b", LONG_NAME, *_not_text],
    "provider_name": ["", " ", "a b", "a\tb", "a\x00b", "\ud800", "\u200b", LONG_NAME, *_not_text],
    "principal": [None, "s", ("source", "s"), 5],
    "token_id": ["", "a b", "a\x00b", "\ud800", LONG_NAME, *_not_text],
    "overlap": [timedelta(-1), timedelta.max, None, 60, "1h", object()],
    "expires_in": [timedelta(0), timedelta(-1), timedelta.max, 60, "1h", object()],
    "uri": [
        *(
            "",
            " ",
            "sales",
            "s3:bucket",
            "//bucket/sales",
            "s3://",
            "s3://a b",
            "s3://größe",
            "s3://a\x00b",
            "\ud800",
        ),
        *("s3://ann@bucket", "db://ann:secret@host/db", "https://host/x?sig=secret", "s3://b#x", "s3://[::1"),
        *("partition-registry://sales", "s3://" + "x" * 1_500, *_not_text[1:]),
    ],
    "owner": ["", "  \n", "a\x00b", "\ud800", LONG_TEXT, *_not_text],
    "reason": ["", "  \n", "a\x00b", "\ud800", LONG_TEXT, *_not_text],
    "by": ["", "  \n", "a\x00b", "\ud800", LONG_TEXT, *_not_text],
    "holder": ["", "a b", "a\x00b", "\ud800", "x" * 2_001, *_not_text[1:]],
    "interval": [None, "2026-01-01", datetime(2026, 1, 1, tzinfo=UTC), date(2026, 1, 1), (1, 2), object()],
    "lease": [timedelta(0), timedelta(-1), timedelta.max, 60, "1h", object()],
    "generation": [*_not_number, *_too_great, True],
    "generations": [5, "1", [], [1, 1], ["1"], [1.5], [True], [2**63], object()],
    "as_of": [None, *_not_number, *_too_great],
    "limit": [0, -1, 10_001, None, *_not_number, *_too_great],
    "before": [*_not_number, *_too_great],
    "holder_prefix": ["", "a b", "a\x00b", "\ud800", "x" * 2_001, *_not_text[1:]],
    "prefix": ["", "a b", "a\x00b", "\ud800", LONG_NAME, *_not_text[1:]],
    "resolution": [0, -1, 1_001, None, *_not_number, *_too_great],
    "grain": ["", "year", "Day", "a\x00b", timedelta(0), timedelta(-1), None, 5, b"day", object()],
    "timezone": ["", "Mars/Base", "a\x00b", "../etc/passwd", LONG_NAME, *_not_text],
    "published_after": ["yesterday", 5, object()],
    "questions": [[None], ["s"], [hours(0, 1)]],
}
"""Values that no method may accept for the argument."""
NO_LISTS_OF_KEYS = [None, "s", 5, [None], ["s"], [hours(0, 1)], PartitionKey("s", "p", hours(0, 1))]
NO_KEYS = [None, "s", ("s", "p", hours(0, 1)), 5]
MAY_BE_NONE = {("list_partitions", "interval"), ("list_providers", "source_name"), ("events", "source_name")}

NAMING = (("register_source", "source_name"), ("register_provider", "provider_name"), ("lock", "holder"))
MISTAKABLE = ("\u2800", "a\u3164", "s\ufe0f", "gr\ufffdn", "a/../b")
"""Names that nothing new may get, although something that exists may have one."""

BAD_AFTER: dict[str, list[Any]] = {
    "list_sources": ["a\x00b", "\ud800", *_not_text[1:]],
    "list_providers": ["a\x00b", "\ud800", *_not_text[1:]],
    "list_tokens": ["a\x00b", "\ud800", *_not_text[1:]],
    "list_overviews": ["a\x00b", "\ud800", *_not_text[1:]],
    "list_partitions": [*_not_number, *_too_great],
    "list_locks": [*_not_number, *_too_great],
    "events": [None, *_not_number, *_too_great],
    "grain_events": [
        "",
        "x",
        "-1",
        "1.5",
        "\uff11",
        "1@",
        "1@x",
        "1@2026-01-01@",
        None,
        1.5,
        [1],
        object(),
        *_too_great,
    ],
}


def spoiled_calls() -> list[tuple[str, str, Any]]:
    """Every method with every invalid value for every argument: ``(method, argument, bad value)``."""
    spoiled = [
        (method, argument, value)
        for method, arguments in CALLS.items()
        for argument in arguments
        for value in BAD.get(argument, ())
        if not (value is None and (method, argument) in MAY_BE_NONE)
    ]
    spoiled += [("renew", "lease", None), ("renew", "generation", None)]
    spoiled += [
        ("list_partitions", "provider_name", value) for value in BAD["provider_name"] if value is not None
    ]
    spoiled += [(method, argument, value) for method, argument in NAMING for value in MISTAKABLE]
    spoiled += [(method, "after", value) for method, values in BAD_AFTER.items() for value in values]
    keyed = [method for method in CALLS if _is_keyed(method)]
    spoiled += [
        (method, "keys" if _is_about_many(method) else "key", value)
        for method in keyed
        for value in (NO_LISTS_OF_KEYS if _is_about_many(method) else NO_KEYS)
    ]
    return spoiled + [
        ("force_release", "to", value) for value in ("locked", "nonsense", PartitionState.REGISTERED, None, 5)
    ]


def call(store: RegistryStore, method: str, **changed: Any) -> Any:
    """Call the method as in ``CALLS``, with some arguments changed."""
    arguments = {**CALLS[method], **changed}
    if _is_keyed(method):
        names = [arguments.pop(name) for name in _partition]
        if changed.keys().isdisjoint({"key", "keys"}):
            key = PartitionKey(*names)
            arguments |= {"keys": [key]} if _is_about_many(method) else {"key": key}
    return getattr(store, method)(**arguments)


def _is_keyed(method: str) -> bool:
    return _partition.keys() <= CALLS[method].keys()


def _is_about_many(method: str) -> bool:
    return method.endswith("_many")
