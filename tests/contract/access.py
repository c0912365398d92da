"""Access control (R10): tokens that are issued, identified, rotated and revoked, and grants that are revoked."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_partition_registry.domain import errors
from airflow_provider_partition_registry.domain.models import EventType, PartitionKey, PartitionState
from airflow_provider_partition_registry.domain.principals import (
    AccessToken,
    Principal,
    PrincipalKind,
    ProviderRegistration,
)
from airflow_provider_partition_registry.store.contract import RegistryStore
from tests.contract.base import ContractBase, newest, refused, walk
from tests.contract.homes import NOON, Home, ManualClock, all_events, hours

HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)
WHY: dict[str, Any] = {"reason": "it leaked", "by": "ann"}
SOURCE = Principal(PrincipalKind.SOURCE, "s")
PROVIDER = Principal(PrincipalKind.PROVIDER, "p")
NOT_TOKENS = [
    "",
    "prs",
    "prs_",
    "prs__",
    "prs_0123456789abcdef_wrong",
    "x" * 10_000,
    "\x00",
    "\ud800",
    "é",
    None,
    5,
]
USES: dict[str, Callable[[RegistryStore, str], object]] = {
    "identify": lambda store, token: store.identify_token(token),
    "register": lambda store, token: store.register_provider("new", token),
}

both_principals = pytest.mark.parametrize("principal", [SOURCE, PROVIDER], ids=str)
every_use = pytest.mark.parametrize("use", USES.values(), ids=USES)


def tokens_of(store: RegistryStore, principal: Principal) -> list[AccessToken]:
    return list(store.list_tokens(principal).items)


class AccessContract(ContractBase):
    def test_a_source_s_token_says_whose_it_is(self, store: RegistryStore, token: str) -> None:
        found = store.identify_token(token)
        assert found == store.get_token(found.id)
        assert (found.principal, found.created_at, found.expires_at, found.revoked_at) == (
            SOURCE,
            NOON,
            None,
            None,
        )

    def test_a_new_provider_gets_a_token_of_its_own(self, store: RegistryStore, token: str) -> None:
        registration = store.register_provider("new", token)
        assert registration.provider == store.get_provider("new")
        found = store.identify_token(registration.access_token)
        assert found.principal == Principal(PrincipalKind.PROVIDER, "new")
        assert newest(store).details == {"token_id": found.id}

    def test_granting_a_provider_one_more_source_issues_no_token(
        self, store: RegistryStore, token: str
    ) -> None:
        """Otherwise whoever holds any source's token could act as everybody's provider."""
        before = tokens_of(store, Principal(PrincipalKind.PROVIDER, "r"))
        assert store.register_provider("r", token) == ProviderRegistration(store.get_provider("r"), None)
        assert tokens_of(store, Principal(PrincipalKind.PROVIDER, "r")) == before

    def test_a_provider_s_token_grants_no_source(self, store: RegistryStore) -> None:
        token = store.rotate_token(PROVIDER).access_token
        with refused(store, errors.AccessDeniedError) as caught:
            store.register_provider("new", token)
        assert "is that of provider 'p'" in str(caught.value)

    def test_a_provider_agrees_to_one_more_source_by_its_own_token(
        self, store: RegistryStore, token: str
    ) -> None:
        of_p, of_r = (
            store.rotate_token(Principal(PrincipalKind.PROVIDER, each)).access_token for each in ("p", "r")
        )
        for wrong in (of_p, token):
            with refused(store, errors.ConsentRequiredError) as caught:
                store.register_provider("r", token, provider_token=wrong)
            assert wrong not in str(caught.value)
        with refused(store, errors.InvalidTokenError):
            store.register_provider("r", token, provider_token="prs_0123456789abcdef_wrong")
        assert store.register_provider("r", token, provider_token=of_r).provider.source_names == (
            "other",
            "s",
        )
        assert newest(store).type == "GRANTED"

    def test_nobody_has_to_agree_for_a_provider_that_is_new_or_has_the_grant(
        self, store: RegistryStore, token: str
    ) -> None:
        wrong = "prs_0123456789abcdef_wrong"
        assert store.register_provider("new", token, provider_token=wrong).access_token is not None
        with refused(store, errors.ProviderAlreadyRegisteredError):
            store.register_provider("new", token, provider_token=wrong)

    @pytest.mark.parametrize("wrong", NOT_TOKENS, ids=ascii)
    @every_use
    def test_a_wrong_token_is_refused(self, store: RegistryStore, use, wrong: str) -> None:
        with refused(store, errors.InvalidTokenError):
            use(store, wrong)

    @every_use
    def test_a_token_changed_in_one_character_is_refused(self, store: RegistryStore, token: str, use) -> None:
        for place in (0, 4, len(token) // 2, len(token) - 2):
            wrong = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
            with refused(store, errors.InvalidTokenError) as caught:
                use(store, wrong)
            assert wrong not in str(caught.value)

    def test_a_wrong_token_registers_no_provider(self, store: RegistryStore) -> None:
        with pytest.raises(errors.InvalidTokenError):
            store.register_provider("new", "prs_0123456789abcdef_wrong")
        with refused(store, errors.UnknownProviderError):
            store.get_provider("new")

    def test_secrets_appear_nowhere_but_in_the_answer(
        self, home: Home, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        store = home.store
        of_source = store.register_source("s", "ann")
        of_provider = store.register_provider("p", of_source.access_token)
        with pytest.raises(errors.ProviderAlreadyRegisteredError) as caught:
            store.register_provider("p", of_source.access_token)
        rotated = [store.rotate_token(each, expires_in=HOUR) for each in (SOURCE, PROVIDER)]
        revoked = store.revoke_token(rotated[0].token.id, **WHY)
        with pytest.raises(errors.InvalidTokenError) as invalid:
            store.identify_token(rotated[0].access_token)
        answers: list[Any] = [of_source, of_provider, *rotated]
        shown: list[Any] = [
            *answers,
            revoked,
            all_events(store),
            store,
            store.get_source("s"),
            store.get_provider("p"),
        ]
        shown += [store.list_sources(), store.list_providers(), store.list_tokens(SOURCE), caught.value]
        shown += [store.list_tokens(PROVIDER), caplog.text, *map(str, (caught.getrepr(), invalid.getrepr()))]
        for answer in answers:
            secret = answer.access_token.split("_", 2)[2]
            assert len(secret) >= 32
            assert not [each for each in shown if secret in repr(each) or secret in str(each)]

    def test_tokens_differ(self, store: RegistryStore) -> None:
        assert len({store.rotate_token(PROVIDER).access_token for _ in range(5)}) == 5

    @both_principals
    def test_after_a_rotation_only_the_new_token_is_valid(
        self, store: RegistryStore, clock: ManualClock, principal: Principal
    ) -> None:
        old = store.rotate_token(principal)
        now = clock.advance(HOUR)
        new = store.rotate_token(principal)
        assert (
            store.identify_token(new.access_token) == new.token == AccessToken(new.token.id, principal, now)
        )
        with refused(store, errors.InvalidTokenError):
            store.identify_token(old.access_token)

    @both_principals
    def test_no_clock_brings_a_rotated_token_back(
        self, store: RegistryStore, clock: ManualClock, principal: Principal
    ) -> None:
        old = store.rotate_token(principal)
        brief = store.rotate_token(principal, overlap=2 * HOUR, expires_in=HOUR / 2)
        clock.advance(HOUR)
        rotated_at = clock.now
        store.rotate_token(principal)
        clock.advance(-2 * HOUR)
        for each in (old, brief):
            assert store.get_token(each.token.id).revoked_at == rotated_at
            with refused(store, errors.InvalidTokenError):
                store.identify_token(each.access_token)

    def test_the_history_says_who_revoked_them(self, store: RegistryStore) -> None:
        issued = store.rotate_token(SOURCE)
        details = {"token_id": issued.token.id, "others_revoked_at": "2026-03-01T12:00:00Z"}
        assert all_events(store)[-1].details == details

    @both_principals
    def test_the_old_tokens_stay_valid_for_the_overlap(
        self, store: RegistryStore, clock: ManualClock, principal: Principal
    ) -> None:
        old = store.rotate_token(principal)
        new = store.rotate_token(principal, overlap=HOUR)
        clock.advance(HOUR - MICROSECOND)
        assert store.identify_token(old.access_token).expires_at == NOON + HOUR
        clock.advance(MICROSECOND)
        with refused(store, errors.InvalidTokenError):
            store.identify_token(old.access_token)
        assert store.identify_token(new.access_token).expires_at is None

    def test_no_rotation_makes_a_token_last_longer(self, store: RegistryStore, clock: ManualClock) -> None:
        store.rotate_token(SOURCE)
        store.rotate_token(SOURCE, expires_in=HOUR)
        store.revoke_token(store.rotate_token(SOURCE, overlap=2 * HOUR).token.id, **WHY)
        before = tokens_of(store, SOURCE)
        clock.advance(timedelta(minutes=30))
        new = store.rotate_token(SOURCE, overlap=10 * HOUR).token
        known = {each.id: each for each in tokens_of(store, SOURCE)}
        assert [known.pop(each.id) for each in before] == before
        assert list(known) == [new.id]

    @every_use
    def test_a_token_that_has_expired(self, store: RegistryStore, clock: ManualClock, use) -> None:
        issued = store.rotate_token(SOURCE, expires_in=HOUR)
        assert issued.token.expires_at == NOON + HOUR
        clock.advance(HOUR - MICROSECOND)
        assert store.identify_token(issued.access_token) == issued.token
        clock.advance(MICROSECOND)
        with refused(store, errors.InvalidTokenError):
            use(store, issued.access_token)

    @every_use
    def test_a_token_that_was_revoked(
        self, store: RegistryStore, clock: ManualClock, token: str, use
    ) -> None:
        known = store.identify_token(token)
        now = clock.advance(HOUR)
        revoked = store.revoke_token(known.id, **WHY)
        assert revoked == store.get_token(known.id) == AccessToken(known.id, SOURCE, NOON, None, now)
        with refused(store, errors.InvalidTokenError):
            use(store, token)

    def test_the_error_does_not_say_why_a_token_is_not_valid(
        self, store: RegistryStore, clock: ManualClock
    ) -> None:
        revoked, expired = (store.rotate_token(SOURCE, overlap=HOUR, expires_in=HOUR) for _ in range(2))
        store.revoke_token(revoked.token.id, **WHY)
        clock.advance(HOUR)
        said = set()
        for wrong in (revoked.access_token, expired.access_token, "prs_0123456789abcdef_wrong", "nonsense"):
            with pytest.raises(errors.InvalidTokenError) as caught:
                store.identify_token(wrong)
            said.add(str(caught.value))
        assert len(said) == 1

    def test_a_token_is_revoked_alone(self, store: RegistryStore) -> None:
        kept = store.rotate_token(SOURCE)
        store.revoke_token(store.rotate_token(SOURCE, overlap=HOUR).token.id, **WHY)
        assert store.identify_token(kept.access_token).id == kept.token.id

    def test_revoking_again_changes_nothing(
        self, store: RegistryStore, clock: ManualClock, token: str
    ) -> None:
        revoked = store.revoke_token(store.identify_token(token).id, **WHY)
        before = all_events(store)
        clock.advance(HOUR)
        assert store.revoke_token(revoked.id, **WHY) == revoked
        assert all_events(store) == before

    def test_a_lost_answer_locks_nobody_out(self, store: RegistryStore, token: str) -> None:
        store.rotate_token(SOURCE)
        store.revoke_token(store.rotate_token(SOURCE).token.id, **WHY)
        again = store.rotate_token(SOURCE).access_token
        assert store.register_provider("new", again).provider.source_names == ("s",)

    @both_principals
    def test_tokens_are_listed_in_the_order_of_their_issue_page_by_page(
        self, store: RegistryStore, clock: ManualClock, principal: Principal
    ) -> None:
        issued = tokens_of(store, principal)
        assert len(issued) == 1
        for _ in range(4):
            clock.advance(HOUR)
            issued.append(store.rotate_token(principal).token)
        names = [each.id for each in issued]
        pages = walk(lambda after: store.list_tokens(principal, after, limit=2), "id")
        assert pages == [names[:2], names[2:4], names[4:]]

    def test_tokens_of_one_moment_are_listed_once_each(self, store: RegistryStore) -> None:
        issued = {store.rotate_token(SOURCE).token.id for _ in range(5)}
        pages = walk(lambda after: store.list_tokens(SOURCE, after, limit=1), "id")
        listed = [each for page in pages for each in page]
        assert len(listed) == 6
        assert issued < set(listed)

    @pytest.mark.parametrize("method", ["list_tokens", "rotate_token"])
    def test_tokens_of_an_unknown_owner(self, store: RegistryStore, method: str) -> None:
        for kind, error in (("source", errors.UnknownSourceError), ("provider", errors.UnknownProviderError)):
            with refused(store, error):
                getattr(store, method)(Principal(PrincipalKind(kind), "nobody"))

    @pytest.mark.parametrize("act", ["get_token", "revoke_token"])
    def test_an_unknown_token(self, store: RegistryStore, act: str) -> None:
        with refused(store, errors.UnknownTokenError) as caught:
            getattr(store, act)("0123456789abcdef", **(WHY if act == "revoke_token" else {}))
        assert caught.value.token_id == "0123456789abcdef"

    @both_principals
    def test_changes_of_tokens_are_in_the_history(self, store: RegistryStore, principal: Principal) -> None:
        before = len(all_events(store))
        issued = store.rotate_token(principal, overlap=HOUR, expires_in=2 * HOUR)
        store.revoke_token(issued.token.id, **WHY)
        rotated, revoked = all_events(store)[before:]
        names = ("s", None) if principal is SOURCE else (None, "p")
        for event, event_type in ((rotated, "TOKEN_ROTATED"), (revoked, "TOKEN_REVOKED")):
            assert (event.type, event.source_name, event.provider_name) == (event_type, *names)
            assert (event.interval, event.holder, event.generation, event.at) == (None, None, None, NOON)
        assert rotated.details == {
            "token_id": issued.token.id,
            "others_expire_at": "2026-03-01T13:00:00Z",
            "expires_at": "2026-03-01T14:00:00Z",
        }
        assert revoked.details == {"token_id": issued.token.id, **WHY}
        of_source = store.events(source_name="s").items
        assert [each in of_source for each in (rotated, revoked)] == [principal is SOURCE] * 2

    def test_what_was_issued_first_is_in_the_history(self, store: RegistryStore) -> None:
        events = {(each.type, each.source_name, each.provider_name): each for each in all_events(store)}
        (of_source,), (of_provider,) = tokens_of(store, SOURCE), tokens_of(store, PROVIDER)
        registered = events[EventType.SOURCE_REGISTERED, "s", None]
        assert registered.details == {"owner": "team-s", "token_id": of_source.id}
        assert events[EventType.PROVIDER_REGISTERED, "s", "p"].details == {"token_id": of_provider.id}

    def test_a_provider_without_its_grant_may_not_write(self, store: RegistryStore) -> None:
        locked = store.lock(PartitionKey("s", "p", hours(0, 1)), register=True)
        after = store.revoke_grant("s", "p", **WHY)
        assert after == store.get_provider("p")
        assert after.source_names == ()
        for call in (
            lambda: store.register_partition(PartitionKey("s", "p", hours(1, 2))),
            lambda: store.lock(PartitionKey("s", "p", hours(0, 1))),
            lambda: store.renew(PartitionKey("s", "p", hours(0, 1)), generation=1, lease=HOUR),
            lambda: store.unlock(PartitionKey("s", "p", hours(0, 1)), generation=locked.generation),
            lambda: store.fail(PartitionKey("s", "p", hours(0, 1)), reason="x"),
        ):
            with refused(store, errors.NoGrantError):
                call()

    def test_its_partitions_stay_as_they_are(self, store: RegistryStore) -> None:
        for interval in (hours(0, 1), hours(1, 2)):
            store.lock(PartitionKey("s", "p", interval), register=True)
        store.unlock(PartitionKey("s", "p", hours(0, 1)))
        before = store.list_partitions("s")
        store.revoke_grant("s", "p", **WHY)
        assert store.list_partitions("s") == before
        assert store.check_readiness("s", hours(0, 1)).is_ready
        assert [each.interval for each in store.check_readiness("s", hours(0, 2)).blockers] == [hours(1, 2)]
        withdrawn = store.withdraw(PartitionKey("s", "p", hours(1, 2)), **WHY)
        assert withdrawn.state is PartitionState.REGISTERED

    def test_others_keep_their_grants(self, store: RegistryStore, token: str) -> None:
        store.register_provider("r", token)
        store.revoke_grant("s", "r", **WHY)
        assert store.get_provider("r").source_names == ("other",)
        assert [each.name for each in store.list_providers("s").items] == ["p", "q"]
        store.lock(PartitionKey("s", "q", hours(0, 1)), register=True)
        store.lock(PartitionKey("other", "r", hours(0, 1)), register=True)

    def test_a_revoked_grant_is_in_the_history(self, store: RegistryStore) -> None:
        store.revoke_grant("s", "p", **WHY)
        event = newest(store)
        assert (event.type, event.source_name, event.provider_name) == ("GRANT_REVOKED", "s", "p")
        assert event.details == WHY

    def test_a_grant_can_be_given_again(self, store: RegistryStore, token: str) -> None:
        store.lock(PartitionKey("s", "p", hours(0, 1)), register=True)
        store.revoke_grant("s", "p", **WHY)
        assert store.register_provider("p", token).access_token is None
        assert newest(store).type == "GRANTED"
        store.unlock(PartitionKey("s", "p", hours(0, 1)))
        assert store.check_readiness("s", hours(0, 1)).is_ready

    def test_there_must_be_a_grant_to_revoke(self, store: RegistryStore) -> None:
        with refused(store, errors.NoGrantError):
            store.revoke_grant("s", "r", **WHY)
        store.revoke_grant("s", "p", **WHY)
        with refused(store, errors.NoGrantError):
            store.revoke_grant("s", "p", **WHY)
