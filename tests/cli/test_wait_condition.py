"""``wait --condition``: how it ends, and what it prints."""

from __future__ import annotations

import json
import time

import pytest

from tests.cli.conftest import Command, day

SHORT = ("--timeout", "1s", "--poll-interval", "1s")
FIRST_OF_NOVEMBER = "[2026-11-01T00:00:00Z, 2026-11-02T00:00:00Z)"


@pytest.fixture
def almost(nightly: Command) -> Command:
    """All but the last hour of the day is published; of another source, the day before."""
    nightly("source", "register", "stock", "--owner", "x")
    hours = ("--start", "2026-11-01", "--end", "2026-11-01T23:00")
    nightly("lock", "sales", "nightly", *hours)
    assert nightly("unlock", "sales", "nightly", *hours).code == 0
    nightly("lock", "sales", "nightly", "--start", "2026-10-31", "--end", "2026-11-01")
    assert nightly("unlock", "sales", "nightly", "--start", "2026-10-31", "--end", "2026-11-01").code == 0
    return nightly


def wait(run: Command, condition: str, *options: str):
    return run("wait", "--condition", condition, *day(1), *SHORT, *options)


def test_what_is_met_is_not_waited_for_and_nothing_is_said(almost: Command):
    done = wait(almost, "any(sales, sales[-1 day])")
    assert (done.code, done.stdout, done.stderr) == (0, "", "")
    assert wait(almost, "any(sales, sales[-1 day])", "--verbose").stderr.startswith("Ready: [2026-10-31")


def test_what_is_missing_under_partial_coverage_is_always_said(almost: Command):
    done = wait(almost, "sales else 95%")
    assert (done.code, done.stdout) == (0, "")
    assert done.stderr.splitlines()[0].startswith(f"Partly ready: 95.83 % of {FIRST_OF_NOVEMBER}")
    assert done.stderr.splitlines()[1] == (
        "  nobody has published [2026-11-01T23:00:00Z, 2026-11-02T00:00:00Z)"
    )


def test_partial_coverage_as_json(almost: Command):
    done = wait(almost, "all(sales else 95%, sales[-1 day])", "--json")
    told = json.loads(done.stdout)
    assert (done.code, told["is_met"], told["is_partial"]) == (0, True, True)
    partial, complete = told["answers"]
    assert (partial["readiness"]["is_ready"], partial["coverage"]) == (False, 23 / 24)
    assert partial["missing"] == [{"start": "2026-11-01T23:00:00Z", "end": "2026-11-02T00:00:00Z"}]
    assert (complete["readiness"]["is_ready"], complete["coverage"], complete["missing"]) == (True, 1.0, [])


def test_a_time_out_says_what_is_missing_and_what_would_do(almost: Command):
    late = wait(almost, "sales else 95% after 2h")
    assert (late.code, late.stdout) == (3, "")
    assert late.stderr.startswith(f"Timed out.\nNot ready: {FIRST_OF_NOVEMBER} of source 'sales'")
    assert "95.83 % of" in late.stderr
    assert late.stderr.rstrip().endswith(f"95 % of {FIRST_OF_NOVEMBER} of source 'sales' is enough.")


def test_a_time_out_as_json(almost: Command):
    late = wait(almost, "all(sales, stock[-1 day])", "--json")
    told = json.loads(late.stdout)
    assert (late.code, told["is_met"], told["is_partial"]) == (3, False, False)
    assert [(each["readiness"]["question"]["source_name"], each["coverage"]) for each in told["answers"]] == [
        ("sales", 23 / 24),
        ("stock", 0.0),
    ]


def test_time_alone_ends_it(almost: Command):
    began = time.monotonic()
    options = ("--timeout", "50s", "--poll-interval", "40s")
    done = almost("wait", "--condition", "sales else 95% after 2s", *day(1), *options)
    assert done.code == 0
    assert 2 <= time.monotonic() - began < 30


def test_days_are_those_of_the_time_zone(almost: Command):
    """The day before, of which an hour is not published there."""
    late = wait(almost, "sales[-1 day] else 96%", "--timezone", "Europe/Berlin", "--json")
    (answer,) = json.loads(late.stdout)["answers"]
    assert late.code == 3
    assert answer["readiness"]["question"]["interval"] == {
        "start": "2026-10-30T23:00:00Z",
        "end": "2026-10-31T23:00:00Z",
    }


def test_a_failed_write_may_end_it(almost: Command):
    last = ("--start", "2026-11-01T23:00", "--end", "2026-11-02")
    almost("lock", "sales", "nightly", *last)
    almost("fail", "sales", "nightly", *last, "--reason", "disk full")
    ended = wait(almost, "any(sales, sales[+0 days])", "--on-failed", "fail")
    assert ended.code == 1
    assert "disk full" in ended.stderr
    assert wait(almost, "sales else 95%", "--on-failed", "fail").code == 0


def test_a_source_that_is_not_registered(almost: Command):
    refused = wait(almost, "any(sales[-1 day], stok)")
    assert refused.code == 4
    assert "Did you mean 'stock'?" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--condition", "all(sales"), "cannot be read at its end: expected ',', 'else' or ')'."),
        (("--condition", ""), "expected a source"),
        (("--condition", "sales[-9999 years]"), "outside the years 1 to 9999"),
        (("sales", "--condition", "sales"), "Give either sources or --condition"),
        ((), "Give either sources or --condition"),
    ],
)
def test_mistakes(almost: Command, arguments: tuple[str, ...], told: str):
    refused = almost("wait", *arguments, *day(1), *SHORT)
    assert refused.code == 2
    assert told in refused.stderr
