"""The registry behind a web service: every method is one call."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import urlsplit

from airflow_provider_partition_registry.domain.errors import (
    InvalidInputError,
    InvalidTokenError,
    StoreRefusedError,
    UnknownSourceError,
)
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.jsonable import to_jsonable
from airflow_provider_partition_registry.domain.many_requests import ManyRequest, check_keys
from airflow_provider_partition_registry.domain.models import (
    LockCounts,
    Page,
    Partition,
    PartitionKey,
    check_key,
)
from airflow_provider_partition_registry.domain.names import (
    MAX_IDENTITY_LENGTH,
    check_name,
    check_new_name,
    check_text,
)
from airflow_provider_partition_registry.domain.principals import (
    AccessToken,
    IssuedToken,
    Principal,
    Provider,
    ProviderRegistration,
    Source,
    SourceRegistration,
)
from airflow_provider_partition_registry.domain.questions import (
    Answer,
    Question,
    Readiness,
    check_max_age,
    check_questions,
)
from airflow_provider_partition_registry.domain.requests import ChangeRequest, DecisionRequest
from airflow_provider_partition_registry.domain.uris import check_uri, check_uri_or_none
from airflow_provider_partition_registry.domain.viewing import SourceOverview, Timeline, check_resolution
from airflow_provider_partition_registry.store.contract import (
    MOST_QUESTIONS,
    Listener,
    RegistryReader,
    RegistryStore,
)
from airflow_provider_partition_registry.store.http import arguments
from airflow_provider_partition_registry.store.http.client import Call, Client
from airflow_provider_partition_registry.store.http.history_reader import HttpHistoryReader
from airflow_provider_partition_registry.store.http.listener import HttpListener
from airflow_provider_partition_registry.store.wire.answers import (
    Answers,
    Partitions,
    ReadinessOrProblem,
    error_from_data,
)
from airflow_provider_partition_registry.store.wire.many_requests import keys_to_data, many_request_to_data
from airflow_provider_partition_registry.store.wire.requests import (
    key_to_data,
    question_to_data,
    request_to_data,
)


class HttpRegistryStore(HttpHistoryReader, RegistryStore):
    """Talks to the web service of a registry."""

    def check_readiness_many(self, questions: Sequence[Question], *, explain: bool = True) -> list[Answer]:
        if not check_questions(questions):
            return []
        if len(questions) > MOST_QUESTIONS:
            raise InvalidInputError(
                f"{len(questions):,} questions are too many for one request to a web service, and several requests "
                f"are not answered for one moment. Ask at most {MOST_QUESTIONS:,} at once: in one call what has to be "
                f"ready together, in further calls what need not."
            )
        if len(questions) == 1 and explain:
            return [self._answer_one(questions[0])]
        body = {"questions": [question_to_data(each) for each in questions], "explain": explain}
        answers = self._client.call(Call("POST", "/readiness", Answers, body=body)).answers
        if len(answers) != len(questions):  # Only their order says which answer belongs to which question.
            raise StoreRefusedError(
                f"{self._client.url} answered {len(answers)} of {len(questions)} questions, as no registry does. "
                f"Check the URL."
            )
        return [_answer(each) for each in answers]

    def _answer_one(self, question: Question) -> Answer:
        """Ask by GET, for which the service has a faster route than for a batch."""
        try:
            return self._client.call(Call("GET", "/readiness", Readiness, question_to_data(question)))
        except UnknownSourceError as error:
            return error

    def get_source(self, source_name: str) -> Source:
        params = {"source_name": check_name("source name", source_name)}
        return self._client.call(Call("GET", "/source", Source, params))

    def list_sources(self, after: str | None = None, limit: int = 100) -> Page[Source]:
        return self._client.call(Call("GET", "/sources", Page[Source], arguments.after_name(after, limit)))

    def get_provider(self, provider_name: str) -> Provider:
        params = {"provider_name": check_name("provider name", provider_name)}
        return self._client.call(Call("GET", "/provider", Provider, params))

    def list_providers(
        self, source_name: str | None = None, after: str | None = None, limit: int = 100
    ) -> Page[Provider]:
        params = {
            "source_name": arguments.optional_name("source name", source_name),
            **arguments.after_name(after, limit),
        }
        return self._client.call(Call("GET", "/providers", Page[Provider], params))

    def identify_token(self, access_token: str) -> AccessToken:
        _check_token(access_token)
        return self._client.call(Call("GET", "/tokens/self", AccessToken, access_token=access_token))

    def get_token(self, token_id: str) -> AccessToken:
        return self._client.call(
            Call("GET", "/token", AccessToken, {"token_id": check_name("token id", token_id)})
        )

    def list_tokens(
        self, principal: Principal, after: str | None = None, limit: int = 100
    ) -> Page[AccessToken]:
        params = {**arguments.principal(principal), **arguments.after_name(after, limit)}
        return self._client.call(Call("GET", "/tokens", Page[AccessToken], params))

    def get_partition(self, key: PartitionKey) -> Partition:
        params = key_to_data(check_key(key))
        return self._client.call(Call("GET", "/partition", Partition, params))

    def list_partitions(
        self,
        source_name: str,
        interval: Interval | None = None,
        after: int | None = None,
        limit: int = 100,
        provider_name: str | None = None,
    ) -> Page[Partition]:
        params = {
            "source_name": check_name("source name", source_name),
            "provider_name": arguments.optional_name("provider name", provider_name),
            **arguments.after_number(after, limit),
        }
        if interval is not None:
            params |= arguments.ends(interval)
        return self._client.call(Call("GET", "/partitions", Page[Partition], params))

    def count_locks(self) -> LockCounts:
        return self._client.call(Call("GET", "/locks/count", LockCounts))

    def list_locks(
        self, holder_prefix: str | None = None, after: int | None = None, limit: int = 100
    ) -> Page[Partition]:
        params = {
            "holder_prefix": arguments.optional_name("holder prefix", holder_prefix, MAX_IDENTITY_LENGTH),
            **arguments.after_number(after, limit),
        }
        return self._client.call(Call("GET", "/locks", Page[Partition], params))

    def get_overview(self, source_name: str) -> SourceOverview:
        params = {"source_name": check_name("source name", source_name)}
        return self._client.call(Call("GET", "/overview", SourceOverview, params))

    def list_overviews(
        self, prefix: str | None = None, after: str | None = None, limit: int = 100
    ) -> Page[SourceOverview]:
        params = {"prefix": arguments.optional_name("prefix", prefix), **arguments.after_name(after, limit)}
        return self._client.call(Call("GET", "/overviews", Page[SourceOverview], params))

    def timeline(self, source_name: str, interval: Interval, resolution: int = 400) -> Timeline:
        params = {
            "source_name": check_name("source name", source_name),
            **arguments.ends(interval),
            "resolution": check_resolution(resolution),
        }
        return self._client.call(Call("GET", "/timeline", Timeline, params))

    def ping(self) -> None:
        self.last_position()

    def open_listener(self) -> Listener:
        return HttpListener(self._client)

    def with_max_age(self, seconds: int) -> RegistryReader:
        return HttpRegistryStore(self._client.with_max_age(check_max_age(seconds)))

    def close(self) -> None:
        self._client.close()

    def register_source(self, source_name: str, owner: str, *, uri: str | None = None) -> SourceRegistration:
        body = {
            "source_name": check_new_name("source name", source_name),
            "owner": check_text("owner", owner),
        }
        if uri is not None:  # services of former versions do not know it
            body["uri"] = check_uri(uri)
        return self._client.call(Call("POST", "/sources", SourceRegistration, body=body, is_repeatable=False))

    def set_source_uri(self, source_name: str, uri: str | None) -> Source:
        body = {"source_name": check_name("source name", source_name), "uri": check_uri_or_none(uri)}
        return self._client.call(Call("POST", "/sources/set-uri", Source, body=body))

    def register_provider(
        self, provider_name: str, access_token: str, *, provider_token: str | None = None
    ) -> ProviderRegistration:
        body = {"provider_name": check_new_name("provider name", provider_name)}
        _check_token(access_token)
        agreeing = self._client.access_token if provider_token is None else provider_token
        if agreeing is not None and agreeing != access_token:
            _check_token(agreeing)
            body["provider_token"] = agreeing
        return self._client.call(
            Call(
                "POST",
                "/providers",
                ProviderRegistration,
                body=body,
                is_repeatable=False,
                access_token=access_token,
            )
        )

    def revoke_grant(self, source_name: str, provider_name: str, *, reason: str, by: str) -> Provider:
        body = {
            "source_name": check_name("source name", source_name),
            "provider_name": check_name("provider name", provider_name),
            **arguments.decision(reason, by),
        }
        return self._client.call(Call("POST", "/grants/revoke", Provider, body=body, is_repeatable=False))

    def rotate_token(
        self,
        principal: Principal,
        *,
        overlap: timedelta = timedelta(0),
        expires_in: timedelta | None = None,
    ) -> IssuedToken:
        body = {
            **arguments.principal(principal),
            "overlap_seconds": arguments.seconds("overlap", overlap),
            "expires_in_seconds": None if expires_in is None else arguments.seconds("expiry", expires_in),
        }
        return self._client.call(Call("POST", "/tokens/rotate", IssuedToken, body=body, is_repeatable=False))

    def revoke_token(self, token_id: str, *, reason: str, by: str) -> AccessToken:
        body = {"token_id": check_name("token id", token_id), **arguments.decision(reason, by)}
        return self._client.call(Call("POST", "/tokens/revoke", AccessToken, body=body))

    def register_partition(self, key: PartitionKey) -> Partition:
        body = key_to_data(check_key(key))
        return self._client.call(Call("POST", "/partitions", Partition, body=body, is_repeatable=False))

    def register_many(self, keys: Sequence[PartitionKey]) -> list[Partition]:
        keys = check_keys(keys)
        if not keys:
            return []
        call = Call(
            "POST",
            "/partitions/register-many",
            Partitions,
            body=keys_to_data(keys),
            is_repeatable=False,
        )
        return list(self._client.call(call).partitions)

    def change(self, request: ChangeRequest) -> Partition:
        path, body = request_to_data(request)
        # A person's decision is refused the second time.
        is_repeatable = not isinstance(request, DecisionRequest)
        return self._client.call(Call("POST", path, Partition, body=body, is_repeatable=is_repeatable))

    def change_many(self, request: ManyRequest) -> list[Partition]:
        if len(request.each) < 2:  # services of former versions have no routes for many
            return [self.change(each) for each in request.each]
        path, body = many_request_to_data(request)
        return list(self._client.call(Call("POST", path, Partitions, body=body)).partitions)


def open_http_store(
    url: str, *, access_token: str | None, pool_size: int, timeout: float, verify: bool | str
) -> HttpRegistryStore:
    """Open the registry behind a web service.

    :param access_token: white space around it is ignored, as it comes from copying; an empty one counts as None.
    :raises InvalidInputError: the URL is not valid.
    :raises InvalidTokenError: the text cannot be an access token.
    """
    access_token = (access_token or "").strip() or None
    if access_token is not None:
        _check_token(access_token)
    if not _is_address(url):
        raise InvalidInputError(
            "The URL of a registry's web service is http://host:5498 or https://host, perhaps with a path in front of "
            "the service's own; the access token is given apart from it."
        )
    return HttpRegistryStore(
        Client(
            url.rstrip("/"),
            access_token=access_token,
            pool_size=pool_size,
            timeout=timeout,
            verify=verify,
        )
    )


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port_fits = parts.port != 0
    except ValueError:
        return False
    has_more = parts.query or parts.fragment or parts.username or parts.password
    return bool(parts.hostname and port_fits and not has_more)


def _check_token(access_token: str) -> None:
    """Refuse text that cannot be sent in a header; the error of sending it would quote it."""
    is_text = isinstance(access_token, str) and access_token.isascii() and access_token.isprintable()
    if not is_text or not access_token or " " in access_token:
        raise InvalidTokenError()


def _answer(told: ReadinessOrProblem) -> Answer:
    if told.readiness is not None:
        return told.readiness
    error = error_from_data(to_jsonable(told))
    if not isinstance(error, UnknownSourceError):
        raise error
    return error
