"""Every command that changes something: what it does, says, and prints as JSON."""

from __future__ import annotations

import getpass
from typing import Any

import click
import pytest

from airflow_provider_partition_registry.cli import options
from airflow_provider_partition_registry.cli.commands import provider
from airflow_provider_partition_registry.cli.options import TOKEN_VARIABLE
from airflow_provider_partition_registry.server.settings import ServiceSettings
from airflow_provider_partition_registry.store import paging
from testbed.service import ServiceThread
from tests.cli.conftest import FIRST, Command, day, lock, publish


class TestSource:
    def test_register_prints_the_token_last(self, run: Command):
        done = run("source", "register", "sales", "--owner", "data-team")
        assert done.code == 0
        sentence, *_, token = done.stdout.splitlines()
        assert sentence == "Source 'sales' is registered; its owner is data-team."
        assert token.startswith("prs_")
        assert run("provider", "register", "nightly", stdin=token).code == 0

    def test_register_as_json(self, run: Command):
        done = run("source", "register", "sales", "--owner", "data-team", "--json")
        assert done.json["source"] == done.json["source"] | {"name": "sales", "owner": "data-team"}
        assert done.json["access_token"].startswith("prs_")

    def test_list(self, run: Command):
        assert run("source", "list").stdout == "No sources.\n"
        for name in ("b", "a-longer-name"):
            run("source", "register", name, "--owner", "someone")
        heading, *rows = run("source", "list").stdout.splitlines()
        assert heading == "SOURCE         OWNER    REGISTERED            URI"
        assert [row[: heading.index("REG")] for row in rows] == [
            "a-longer-name  someone  ",
            "b              someone  ",
        ]
        assert [each["name"] for each in run("source", "list", "--json").json] == ["a-longer-name", "b"]

    def test_the_address_of_the_data(self, run: Command):
        run("source", "register", "sales", "--owner", "ann", "--uri", "s3://bucket/sales")
        assert run("source", "list").stdout.splitlines()[1].endswith("Z  s3://bucket/sales")
        told = run("source", "set-uri", "sales", "postgres://host/db/schema/table")
        assert told.stdout == "The data of source 'sales' is at postgres://host/db/schema/table.\n"
        told = run("source", "set-uri", "sales", "--unknown")
        assert told.stdout == "It is not known where the data of source 'sales' is.\n"
        assert run("source", "set-uri", "sales", "s3://b", "--json").json["uri"] == "s3://b"
        assert "former_uri: s3://bucket/sales" in run("history", "sales").stdout

    @pytest.mark.parametrize("arguments", [(), ("s3://bucket/sales", "--unknown")])
    def test_an_address_or_none(self, run: Command, arguments: tuple[str, ...]):
        run("source", "register", "sales", "--owner", "ann")
        refused = run("source", "set-uri", "sales", *arguments)
        assert (refused.code, "--unknown" in refused.stderr) == (2, True)

    def test_an_address_with_a_password(self, run: Command):
        refused = run("source", "register", "sales", "--owner", "ann", "--uri", "db://ann:secret@host/db")
        assert (refused.code, "secret" in refused.stderr) == (2, False)
        assert run("source", "list").stdout == "No sources.\n"

    def test_list_goes_through_all_pages(self, run: Command, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(paging, "PAGE_SIZE", 2)
        for name in "abcde":
            run("source", "register", name, "--owner", "someone")
        assert [each["name"] for each in run("source", "list", "--json").json] == list("abcde")


class TestProvider:
    @pytest.mark.parametrize("way", ["option", "variable", "stdin"])
    def test_the_token_may_come_from(self, run: Command, token: str, way: str):
        done = run(
            "provider",
            "register",
            "nightly",
            *(("--access-token", token) if way == "option" else ()),
            stdin=f"{token}\n" if way == "stdin" else "",
            **({"PARTITION_REGISTRY_ACCESS_TOKEN": token} if way == "variable" else {}),
        )
        assert done.code == 0, done.stderr
        assert done.stdout.splitlines()[0] == "Provider 'nightly' may write to 'sales'."

    def test_register_prints_the_token_last(self, run: Command, token: str):
        done = run("provider", "register", "nightly", stdin=token)
        *_, sentence, own = done.stdout.splitlines()
        assert "shown only now" in sentence
        assert own.startswith("prs_")
        assert own != token

    def test_register_as_json(self, nightly: Command, token: str):
        new = nightly("provider", "register", "hourly", "--access-token", token, "--json").json
        assert new["provider"]["source_names"] == ["sales"]
        assert new["access_token"].startswith("prs_")
        other = nightly("source", "register", "stock", "--owner", "x", "--json").json["access_token"]
        known = nightly("provider", "register", "hourly", "--access-token", other, "--json").json
        assert known == {"provider": known["provider"], "access_token": None}

    def test_a_terminal_prompts_for_the_token(
        self, run: Command, token: str, monkeypatch: pytest.MonkeyPatch
    ):
        class Terminal:
            @staticmethod
            def isatty() -> bool:
                return True

        monkeypatch.setattr(provider, "sys", type("", (), {"stdin": Terminal}))
        asked: dict[str, Any] = {}
        monkeypatch.setattr(click, "prompt", lambda text, **how: asked.update(how, text=text) or token)
        assert run("provider", "register", "nightly").code == 0
        assert asked == {"text": "Access token", "hide_input": True, "err": True}

    def test_no_token(self, run: Command):
        refused = run("provider", "register", "nightly", stdin="")
        assert refused.code == 2
        assert "PARTITION_REGISTRY_ACCESS_TOKEN" in refused.stderr

    def test_a_web_service_requires_the_providers_consent(self, nightly: Command, migrated_sqlite_url: str):
        other = nightly("source", "register", "stock", "--owner", "x", "--json").json["access_token"]
        own = nightly("token", "rotate", "--provider", "nightly", "--json").json["access_token"]
        with ServiceThread(ServiceSettings(migrated_sqlite_url)) as service:
            register = ("provider", "register", "nightly", "--access-token", other)
            refused = nightly(*register, url=service.url)
            assert (refused.code, "--provider-token" in refused.stderr) == (6, True)
            for agreeing in ("--provider-token", "PARTITION_REGISTRY_PROVIDER_TOKEN", TOKEN_VARIABLE):
                is_option = agreeing.startswith("--")
                done = nightly(
                    *register,
                    *((agreeing, own) if is_option else ()),
                    url=service.url,
                    **({} if is_option else {agreeing: own}),
                )
                assert done.stdout == "Provider 'nightly' may write to 'sales', 'stock'.\n", done.stderr
                nightly("grant", "revoke", "stock", "nightly", "--reason", "x")

    def test_a_second_source(self, nightly: Command):
        other = nightly("source", "register", "stock", "--owner", "x", "--json").json["access_token"]
        done = nightly("provider", "register", "nightly", "--access-token", other)
        assert done.stdout == "Provider 'nightly' may write to 'sales', 'stock'.\n"

    def test_list(self, nightly: Command, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(paging, "PAGE_SIZE", 1)
        other = nightly("source", "register", "stock", "--owner", "x", "--json").json["access_token"]
        nightly("provider", "register", "hourly", "--access-token", other)
        heading, *rows = nightly("provider", "list").stdout.splitlines()
        assert heading.split() == ["PROVIDER", "SOURCES", "REGISTERED"]
        assert [row.split()[:2] for row in rows] == [["hourly", "stock"], ["nightly", "sales"]]
        assert [each["name"] for each in nightly("provider", "list", "--source", "sales", "--json").json] == [
            "nightly"
        ]

    def test_list_of_none(self, run: Command):
        assert run("provider", "list").stdout == "No providers.\n"


class TestWriting:
    def test_lock_and_unlock(self, nightly: Command):
        locked = nightly("lock", "sales", "nightly", *day(1))
        assert locked.stdout == (
            f"Locked partition {FIRST} of source 'sales' (provider 'nightly'): "
            "holder nightly, generation 1, without a lease.\n"
        )
        published = nightly("unlock", "sales", "nightly", *day(1))
        assert published.stdout == f"Published partition {FIRST} of source 'sales' (provider 'nightly').\n"
        assert nightly("ready", "sales", *day(1)).code == 0

    def test_lock_as_json(self, nightly: Command):
        locked = lock(nightly, 1, "--holder", "me", "--lease", "1h30m", "--exclusive")
        assert locked["state"] == "locked"
        assert locked["generation"] == 1
        assert locked["lock"]["holder"]["identity"] == "me"
        assert locked["lock"]["holder"]["details"].keys() == {"host", "user"}
        assert locked["lock"]["exclusive"] is True
        assert locked["lock"]["expires_at"] > locked["lock"]["locked_at"]

    def test_lock_with_a_lease_says_until_when(self, nightly: Command):
        assert ", lease until 20" in nightly("lock", "sales", "nightly", *day(1), "--lease", "2h").stdout

    def test_lock_registers_unless_told_otherwise(self, nightly: Command):
        assert nightly("lock", "sales", "nightly", *day(1), "--no-register").code == 4
        assert nightly("lock", "sales", "nightly", *day(1)).code == 0

    def test_exclusive_keeps_other_providers_out(self, nightly: Command, token: str):
        nightly("provider", "register", "hourly", "--access-token", token)
        lock(nightly, 1, "--exclusive")
        assert nightly("lock", "sales", "hourly", *day(1)).code == 5

    def test_unlock_by_generation(self, nightly: Command):
        generation = str(lock(nightly, 1, "--holder", "me")["generation"])
        assert nightly("unlock", "sales", "nightly", *day(1)).code == 5
        assert nightly("unlock", "sales", "nightly", *day(1), "--generation", "7").code == 5
        done = nightly("unlock", "sales", "nightly", *day(1), "--generation", generation, "--json")
        assert (done.code, done.json["state"]) == (0, "ready")

    def test_unlock_by_holder(self, nightly: Command):
        lock(nightly, 1, "--holder", "me")
        assert nightly("unlock", "sales", "nightly", *day(1), "--holder", "me").code == 0

    def test_fail(self, nightly: Command):
        lock(nightly, 1)
        failed = nightly("fail", "sales", "nightly", *day(1), "--reason", "disk\nfull")
        assert failed.stdout == (
            f"Failed partition {FIRST} of source 'sales' (provider 'nightly'): disk\\nfull\n"
        )
        again = nightly("fail", "sales", "nightly", *day(1), "--reason", "disk full", "--json")
        assert (again.code, again.json["reason"]) == (0, "disk\nfull")

    def test_release(self, nightly: Command):
        publish(nightly, 1)
        generation = str(lock(nightly, 1, "--holder", "me")["generation"])
        assert nightly("release", "sales", "nightly", *day(1)).code == 5
        released = nightly("release", "sales", "nightly", *day(1), "--holder", "me")
        assert released.stdout == (
            f"Released partition {FIRST} of source 'sales' (provider 'nightly'); it is ready again.\n"
        )
        again = nightly("release", "sales", "nightly", *day(1), "--generation", generation, "--json")
        assert (again.code, again.json["state"], again.json["released_by"]) == (0, "ready", "me")
        assert nightly("ready", "sales", *day(1)).code == 0


class TestDeciding:
    def test_force_release(self, nightly: Command):
        lock(nightly, 1, "--holder", "gone")
        done = nightly(
            "force-release", "sales", "nightly", *day(1), "--reason", "host died", "--by", "ann", "--json"
        )
        assert (done.json["state"], done.json["reason"]) == ("failed", "host died (ann)")

    def test_force_release_to_ready(self, nightly: Command):
        lock(nightly, 1, "--holder", "gone")
        done = nightly(
            "force-release", "sales", "nightly", *day(1), "--reason", "checked by hand", "--to-state", "ready"
        )
        assert done.stdout.endswith("; it is ready now.\n")
        assert nightly("ready", "sales", *day(1)).code == 0

    def test_invalidate(self, nightly: Command):
        publish(nightly, 1)
        done = nightly("invalidate", "sales", "nightly", *day(1), "--reason", "wrong currency")
        assert done.stdout.startswith(f"Invalidated partition {FIRST}")
        assert nightly("ready", "sales", *day(1)).code == 1

    def test_withdraw(self, nightly: Command):
        publish(nightly, 1)
        done = nightly("withdraw", "sales", "nightly", *day(1), "--reason", "retired")
        assert done.stdout.startswith(f"Withdrew partition {FIRST}")
        assert "nobody has published" in nightly("ready", "sales", *day(1)).stdout

    def test_the_current_user_decides_by_default(self, nightly: Command):
        publish(nightly, 1)
        done = nightly("withdraw", "sales", "nightly", *day(1), "--reason", "retired", "--json")
        assert done.json["reason"] == f"retired ({getpass.getuser()})"

    def test_a_user_without_a_name(self, monkeypatch: pytest.MonkeyPatch):
        def unknown() -> str:
            raise KeyError("uid not found")

        monkeypatch.setattr(getpass, "getuser", unknown)
        assert options.current_user().startswith("uid ")

    @pytest.mark.parametrize("command", ["force-release", "invalidate", "withdraw"])
    def test_the_state_must_allow_it(self, nightly: Command, command: str):
        lock(nightly, 1, "--holder", "me")
        nightly("force-release", "sales", "nightly", *day(1), "--reason", "x")
        nightly("withdraw", "sales", "nightly", *day(1), "--reason", "x")
        assert nightly(command, "sales", "nightly", *day(1), "--reason", "x").code == 5
