"""Failing calls: exit codes, one sentence or one JSON object on standard error, and never a token."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import click
import pytest

from airflow_provider_partition_registry.cli import errors
from airflow_provider_partition_registry.cli.commands import ready, source
from airflow_provider_partition_registry.cli.errors import EXIT_CODES, ExitCode, exit_code_of, wants_json
from airflow_provider_partition_registry.cli.root import root
from airflow_provider_partition_registry.domain import errors as domain_errors
from airflow_provider_partition_registry.domain.errors import RegistryError
from tests.cli.conftest import NOVEMBER, Command, day

LOCK = ("lock", "sales", "nightly", *day(1))
UNLOCK = ("unlock", "sales", "nightly", *day(1))
UNREACHABLE = "postgresql://registry:secret@127.0.0.1:1/registry"


def every_error() -> list[type[RegistryError]]:
    return [
        each
        for _, each in inspect.getmembers(domain_errors, inspect.isclass)
        if issubclass(each, RegistryError) and each is not RegistryError
    ]


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_every_error_of_the_registry_has_a_code_of_its_own_in_the_table(kind: type[RegistryError]):
    code = exit_code_of(kind.__new__(kind))
    assert code in EXIT_CODES
    assert code not in (ExitCode.DONE, ExitCode.NO, ExitCode.BUG)


@pytest.mark.parametrize(
    ("arguments", "code", "name"),
    [
        (("ready", "nope", *NOVEMBER), 4, "unknown_source"),
        ((*UNLOCK, "--holder", "me", "--generation", "1"), 2, "invalid_input"),
        (("status", "nope", *NOVEMBER), 4, "unknown_source"),
        (("provider", "list", "--source", "nope"), 4, "unknown_source"),
        (("lock", "sales", "nope", *day(1)), 4, "unknown_provider"),
        ((*LOCK, "--no-register"), 4, "unknown_partition"),
        (UNLOCK, 4, "unknown_partition"),
        (("source", "register", "sales", "--owner", "x"), 5, "source_already_registered"),
        (("provider", "register", "nightly", "--access-token", "prs_1_2"), 6, "invalid_token"),
        (("ready", "sales", "--start", "2026-11-02", "--end", "2026-11-01"), 2, "invalid_interval"),
        (("ready", "sales", "--start", "soon", "--end", "2026-11-01"), 2, "invalid_input"),
        (("ready", "sales", "--start", "2026-11-01"), 2, "invalid_input"),
        (("ready", "two words", *NOVEMBER), 2, "invalid_name"),
        (("source", "register", "x", "--owner", " "), 2, "invalid_input"),
        ((*LOCK, "--lease", "soon"), 2, "invalid_input"),
        ((*LOCK, "--holder", ""), 2, "invalid_name"),
        ((*UNLOCK, "--generation", "-1"), 2, "invalid_input"),
        (("status", "sales", *NOVEMBER, "--limit", "0"), 2, "invalid_input"),
        (("source", "list", "--url", "ftp://x"), 2, "invalid_input"),
        (("db", "verify", "--url", "http://x"), 2, "invalid_input"),
        (("source", "list", "--url", "sqlite:///:memory:"), 2, "invalid_input"),
        (("source", "list", "--url", UNREACHABLE), 7, "store_unavailable"),
        (("db", "current", "--url", UNREACHABLE), 7, "store_unavailable"),
        (("nope",), 2, "invalid_input"),
        (("source",), 2, "invalid_input"),
        (("--nope",), 2, "invalid_input"),
    ],
)
def test_exit_codes(nightly: Command, arguments: tuple[str, ...], code: int, name: str):
    told = nightly(*arguments)
    assert (told.code, told.stdout) == (code, "")
    assert told.stderr.startswith("Error: ")
    assert told.stderr.count("\n") == 1
    as_json = nightly(*arguments, "--json")
    assert (as_json.code, as_json.error["code"], as_json.stdout) == (code, name, "")
    assert as_json.error["message"]
    assert "secret" not in told.stderr + as_json.stderr


def test_locked_by_somebody_else_names_the_holder(nightly: Command):
    nightly(*LOCK, "--holder", "somebody")
    refused = nightly(*LOCK, "--holder", "me", "--json")
    assert (refused.code, refused.error["code"]) == (5, "partition_locked")
    assert refused.error["partition"]["lock"]["holder"]["identity"] == "somebody"
    assert "somebody" in nightly(*LOCK, "--holder", "me").stderr


def test_not_the_holder(nightly: Command):
    nightly(*LOCK, "--holder", "somebody")
    for command in (UNLOCK, ("fail", *UNLOCK[1:], "--reason", "x")):
        refused = nightly(*command, "--json")
        assert (refused.code, refused.error["code"]) == (5, "not_lock_holder")


def test_registered_twice(nightly: Command, token: str):
    refused = nightly("provider", "register", "nightly", "--json", stdin=token)
    assert (refused.code, refused.error["code"]) == (5, "provider_already_registered")


def test_what_click_says_ends_like_a_sentence(nightly: Command):
    assert re.search(
        r"[.?]\)? See: partition-registry status --help\n$", nightly("status", "s", "--frm", "x").stderr
    )
    assert re.search(r"[.?]\)? See: partition-registry --help\n$", nightly("redy").stderr)
    assert nightly("source").stderr == "Error: Missing command. See: partition-registry source --help\n"


def test_no_error_message_contains_python(nightly: Command):
    for arguments in (UNLOCK, (*LOCK, "--no-register"), ("withdraw", *UNLOCK[1:], "--reason", "x")):
        assert "register it first (a lock can register it, too)" in nightly(*arguments).stderr
    nightly(*LOCK, "--holder", "somebody")
    refused = nightly(*UNLOCK)
    assert "Cannot publish with holder 'nightly'" in refused.stderr
    assert "of source 'sales' (provider 'nightly') is locked, held by somebody since 20" in refused.stderr


def test_a_proposed_command_can_be_pasted(nightly: Command):
    assert "source register 'a;b' --owner" in nightly("ready", "a;b", *NOVEMBER).stderr
    assert "provider register 'a;b')" in nightly("lock", "sales", "a;b", *day(1)).stderr


def test_without_a_grant(nightly: Command):
    other = nightly("source", "register", "stock", "--owner", "x", "--json").json["access_token"]
    nightly("provider", "register", "stranger", "--access-token", other)
    refused = nightly("lock", "sales", "stranger", *day(1), "--json")
    assert (refused.code, refused.error["code"]) == (6, "no_grant")


def test_without_a_url(run: Command):
    refused = run("source", "list", url="")
    assert refused.code == 2
    assert "PARTITION_REGISTRY_URL" in refused.stderr
    assert "--url" in refused.stderr
    for beginning in ("https://", "postgresql://", "sqlite:///"):
        assert beginning in refused.stderr
        assert beginning in run("source", "list", url="ftp://x").stderr


def test_authorities_that_cannot_be_read(run: Command):
    refused = run("source", "list", url="https://127.0.0.1:1", PARTITION_REGISTRY_CA_FILE="/no/such/file")
    assert (refused.code, "/no/such/file" in refused.stderr) == (2, True)


def test_the_url_may_stand_before_or_behind_the_command(run: Command, sqlite_url: str):
    assert run("--url", sqlite_url, "source", "list", url="").code == 0
    assert run("source", "list", "--url", sqlite_url, url="").code == 0
    assert run("--url", "ftp://x", "source", "list", "--url", sqlite_url, url="ftp://y").code == 0


def test_a_bug_has_an_exit_code_of_its_own(run: Command, monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object, **__: object) -> str:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(ready, "explain", broken)
    monkeypatch.setattr(source, "table", broken)
    told = run("source", "list")
    assert told.code == 70
    assert "Traceback" in told.stderr
    assert told.stderr.splitlines()[-1].startswith("Error: RuntimeError: unforeseen. This is a bug")
    monkeypatch.setattr(source, "show", broken)
    assert run("source", "list", "--json").error["code"] == "bug"


def test_an_interrupt_has_an_exit_code_of_its_own(run: Command, monkeypatch: pytest.MonkeyPatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(source, "show", interrupted)
    told = run("source", "list")
    assert (told.code, told.stdout) == (130, "")


def test_a_json_option_after_two_dashes_belongs_to_the_command():
    assert wants_json(["ready", "--json"])
    assert not wants_json(["run", "--", "tool", "--json"])
    assert not wants_json([])


def test_usage_errors_without_a_context_are_told_as_well():
    assert errors.report(click.UsageError("Wrong."), as_json=False) == 2


def test_no_token_is_ever_printed_but_by_source_register(nightly: Command, token: str):
    secret = token.split("_", 2)[2]
    wrong = f"{token}x"
    calls = [
        ("provider", "register", "nightly", "--access-token", token),
        ("provider", "register", "hourly", "--access-token", token),
        ("provider", "register", "x", "--access-token", wrong),
        ("provider", "register", "two words", "--access-token", token),
        ("source", "register", "sales", "--owner", "x"),
        ("source", "list"),
        ("provider", "list"),
        LOCK,
        UNLOCK,
        ("status", "sales", *NOVEMBER),
        ("ready", "sales", *NOVEMBER),
        ("provider", "register", "--help"),
        ("db", "verify"),
    ]
    for arguments in calls:
        for more in ((), ("--json",)):
            said = nightly(*arguments, *more, PARTITION_REGISTRY_ACCESS_TOKEN=token)
            assert secret not in said.stdout + said.stderr


def test_the_commands_are_all_in_a_section_of_the_help():
    from airflow_provider_partition_registry.cli.root import SECTIONS

    listed = [command.name for commands in SECTIONS.values() for command in commands]
    assert sorted(listed) == sorted(root.commands)


@pytest.mark.parametrize("option", ["--provider", "--source"])
def test_an_option_where_an_argument_belongs(run: Command, option: str):
    refused = run("lock", option, "x", *day(1))
    assert refused.code == 2
    assert f"No such option '{option}': {option[2:].upper()} is written without it. " in refused.stderr
    assert "Write: partition-registry lock [OPTIONS] SOURCE PROVIDER." in refused.stderr


@pytest.mark.parametrize(
    "asking",
    [
        ("ready", "sales", *NOVEMBER),
        ("explain", "sales", *NOVEMBER),
        ("status", "sales", *NOVEMBER),
        ("locks",),
        ("history",),
        ("watch",),
        ("source", "list"),
        ("provider", "list"),
        ("token", "list", "--source", "sales"),
    ],
    ids=" ".join,
)
def test_reading_commands_create_no_registry_at_a_mistyped_path(
    run: Command, tmp_path: Path, asking: tuple[str, ...]
) -> None:
    file = tmp_path / "typo.db"

    asked = run(*asking, url=f"sqlite:///{file}")

    assert asked.code == ExitCode.UNAVAILABLE
    assert f"There is no file {file} on this host. Check the path" in asked.stderr
    assert not file.exists()


@pytest.mark.parametrize(
    ("call", "meant"),
    [
        (("ready", "sale", *NOVEMBER), "'sales'"),
        (("wait", "sals", *NOVEMBER), "'sales'"),
        (("history", "salles"), "'sales'"),
        (("lock", "slaes", "nightly", *day(1)), "'sales'"),
        (("lock", "sales", "nihgtly", *day(1)), "'nightly'"),
        (("run", "sales", "nihgtly", *day(1), "--", "true"), "'nightly'"),
        (("token", "list", "--provider", "nightl"), "'nightly'"),
    ],
)
def test_a_misspelt_name_gets_a_suggestion(nightly: Command, call: tuple[str, ...], meant: str):
    refused = nightly(*call)
    assert refused.code == 4
    assert refused.stderr.endswith(f" Did you mean {meant}?\n")


def test_a_name_unlike_all_others_gets_no_suggestion(nightly: Command):
    assert "Did you mean" not in nightly("ready", "inventory", *NOVEMBER).stderr


def test_run_without_dashes_says_where_they_belong(nightly: Command):
    refused = nightly("run", "sales", "nightly", *day(1), "sh", "-c", "true")
    assert refused.code == 2
    assert "Write -- before the command to run." in refused.stderr
