"""``token`` and ``grant``, as an administrator uses them."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.cli.conftest import Command, day

OWNERS = {"source": ("--source", "sales"), "provider": ("--provider", "nightly")}
WHY = ("--reason", "it leaked", "--by", "ann")

of_both = pytest.mark.parametrize("of", OWNERS.values(), ids=OWNERS)


def ids(run: Command, of: tuple[str, ...]) -> list[str]:
    return [each["id"] for each in run("token", "list", *of, "--json").json]


def lasts(token: dict) -> timedelta:
    return datetime.fromisoformat(token["expires_at"]) - datetime.fromisoformat(token["created_at"])


class TestList:
    @of_both
    def test_it_shows_ids_and_instants(self, nightly: Command, of: tuple[str, ...]):
        nightly("token", "rotate", *of, "--expires-in", "90d")
        heading, first, second = nightly("token", "list", *of).stdout.splitlines()
        assert heading.split() == ["TOKEN", "ID", "ISSUED", "EXPIRES", "REVOKED"]
        (old, _, old_expires, old_revoked), (_, new_issued, new_expires, new_revoked) = (
            first.split(),
            second.split(),
        )
        assert [old, new_id := second.split()[0]] == ids(nightly, of)
        assert old != new_id
        assert (old_expires, new_revoked) == ("-", "-")
        assert old_revoked == new_issued
        assert new_expires > new_issued

    def test_no_secret_is_listed(self, nightly: Command, token: str):
        for more in ((), ("--json",)):
            assert token.split("_", 2)[2] not in nightly("token", "list", "--source", "sales", *more).stdout

    def test_it_goes_through_all_pages(self, nightly: Command, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("airflow_provider_partition_registry.store.paging.PAGE_SIZE", 2)
        for _ in range(4):
            nightly("token", "rotate", *OWNERS["source"])
        assert len(set(ids(nightly, OWNERS["source"]))) == 5

    @pytest.mark.parametrize("command", ["list", "rotate"])
    def test_either_a_source_or_a_provider_must_be_given(self, run: Command, command: str):
        for of in ((), (*OWNERS["source"], *OWNERS["provider"])):
            refused = run("token", command, *of)
            assert refused.code == 2
            assert "either --source or --provider" in refused.stderr

    @pytest.mark.parametrize("command", ["list", "rotate"])
    @pytest.mark.parametrize("option", ["--source", "--provider"])
    def test_an_unknown_or_invalid_owner_is_refused(self, run: Command, command: str, option: str):
        assert run("token", command, option, "nobody").code == 4
        assert run("token", command, option, "no body").code == 2


class TestRotate:
    def test_the_new_token_is_the_last_line(self, nightly: Command, token: str):
        done = nightly("token", "rotate", *OWNERS["source"])
        sentence, _, new = done.stdout.splitlines()
        new_id = ids(nightly, OWNERS["source"])[-1]
        assert sentence == (
            f"The new access token of source 'sales' has the id {new_id} and is valid without limit; "
            "its others are revoked."
        )
        assert nightly("provider", "register", "hourly", stdin=token).code == 6
        assert nightly("provider", "register", "hourly", stdin=new).code == 0

    def test_the_others_may_go_on_for_a_while(self, nightly: Command, token: str):
        done = nightly("token", "rotate", *OWNERS["source"], "--overlap", "1d", "--expires-in", "90d")
        assert "; its others expire at 20" in done.stdout
        assert "and is valid until 20" in done.stdout
        assert nightly("provider", "register", "hourly", stdin=token).code == 0

    def test_as_json(self, nightly: Command):
        issued = nightly("token", "rotate", *OWNERS["provider"], "--expires-in", "90d", "--json").json
        assert issued["access_token"].startswith("prs_")
        assert issued["token"]["principal"] == {"kind": "provider", "name": "nightly"}
        assert lasts(issued["token"]) == timedelta(days=90)

    @pytest.mark.parametrize("wrong", ["0s", "soon", "-1d"])
    @pytest.mark.parametrize("option", ["--overlap", "--expires-in"])
    def test_invalid_durations_are_refused(self, nightly: Command, option: str, wrong: str):
        assert nightly("token", "rotate", *OWNERS["source"], option, wrong).code == 2


class TestRevoke:
    def test_it_ends_the_token(self, nightly: Command, token: str):
        (only,) = ids(nightly, OWNERS["source"])
        done = nightly("token", "revoke", only, *WHY)
        assert done.stdout.startswith(f"Access token {only} of source 'sales' is revoked since 20")
        assert nightly("token", "revoke", only, *WHY).stdout == done.stdout
        assert nightly("provider", "register", "hourly", stdin=token).code == 6

    def test_as_json(self, nightly: Command):
        (only,) = ids(nightly, OWNERS["provider"])
        assert nightly("token", "revoke", only, *WHY, "--json").json["revoked_at"].startswith("20")

    def test_an_id_that_nobody_knows(self, nightly: Command):
        refused = nightly("token", "revoke", "0123456789abcdef", *WHY)
        assert refused.code == 4
        assert "token list" in refused.stderr

    def test_a_reason_is_asked_for(self, nightly: Command):
        assert nightly("token", "revoke", "0123456789abcdef").code == 2


class TestGrant:
    def test_revoke(self, nightly: Command, token: str):
        nightly("lock", "sales", "nightly", *day(1))
        done = nightly("grant", "revoke", "sales", "nightly", *WHY)
        assert done.stdout == (
            "Provider 'nightly' may not write to 'sales' any more.\nProvider 'nightly' may write to no source.\n"
        )
        assert nightly("unlock", "sales", "nightly", *day(1)).code == 6
        assert nightly("ready", "sales", *day(1)).code == 1
        assert nightly("provider", "register", "nightly", stdin=token).code == 0
        assert nightly("unlock", "sales", "nightly", *day(1)).code == 0

    def test_as_json(self, nightly: Command):
        assert nightly("grant", "revoke", "sales", "nightly", *WHY, "--json").json["source_names"] == []

    def test_revoking_a_grant_that_does_not_exist_is_refused(self, nightly: Command):
        nightly("grant", "revoke", "sales", "nightly", *WHY)
        assert nightly("grant", "revoke", "sales", "nightly", *WHY).code == 6
        assert nightly("grant", "revoke", "sales", "nobody", *WHY).code == 4
        assert nightly("grant", "revoke", "nowhere", "nightly", *WHY).code == 4
