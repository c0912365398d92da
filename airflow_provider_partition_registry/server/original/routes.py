"""The six routes of the original partition-registry service, for clients that were written for it.

All parameters are query parameters; those beyond the original's mean what they mean in the versioned API.
"""

from __future__ import annotations

import posixpath
from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from airflow_provider_partition_registry.domain.errors import InvalidInputError, UnknownSourceError
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import EventType, Partition, PartitionKey
from airflow_provider_partition_registry.domain.principals import Provider, Source
from airflow_provider_partition_registry.domain.questions import Answer, Question
from airflow_provider_partition_registry.server.access.permissions import PresentedToken, Token
from airflow_provider_partition_registry.server.aged import Reader
from airflow_provider_partition_registry.server.openapi import examples
from airflow_provider_partition_registry.server.openapi.refusals import ANYWHERE, original_refusals
from airflow_provider_partition_registry.server.original.answers import (
    EventObject,
    PartitionObject,
    ProviderObject,
    ReadinessAnswer,
    Registered,
    SourceObject,
)
from airflow_provider_partition_registry.server.service import InService, Service
from airflow_provider_partition_registry.server.waiting.bulkheads import BulkheadRoute
from airflow_provider_partition_registry.store.wire.fields import (
    End,
    Generation,
    Identity,
    Owner,
    ProviderName,
    Seconds,
    SourceName,
    Start,
    to_lease,
)

READINESS_PATH = "/sources/{source_name:path}/check_readiness"

router = APIRouter(
    tags=["The original's routes"],
    route_class=BulkheadRoute,
    responses=original_refusals(*ANYWHERE, 404, 409),
    generate_unique_id_function=lambda route: f"original_{route.name}",
)


async def _token(
    token: Token,
    access_token: Annotated[str | None, Query(description="Used in place of the bearer token.")] = None,
) -> PresentedToken:
    return token if access_token is None else replace(token, text=access_token)


GivenToken = Annotated[PresentedToken, Depends(_token)]


async def _key(start: Start, end: End, source_name: SourceName, provider_name: ProviderName) -> PartitionKey:
    return PartitionKey(source_name, provider_name, Interval(start, end))


Key = Annotated[PartitionKey, Depends(_key)]
HolderName = Annotated[Identity | None, Query(description="Who writes; by default the provider itself.")]
NamedAgain = Annotated[
    str | None,
    Query(alias="source_name", description="Ignored: the path names the source."),
]
FailureReason = Annotated[str, Query(description="Why the write went wrong; marks it as failed.")]


def _event(
    event_type: EventType,
    partition: Partition,
    source: Source = examples.SOURCE,
    provider: Provider = examples.PROVIDER,
) -> Registered[EventObject]:
    return Registered(registered_object=EventObject.of(event_type, partition, source, provider))


def _shown(example: BaseModel) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {"application/json": {"example": example.model_dump(mode="json")}}}}


SOURCE = SourceObject.of(examples.SOURCE, examples.SECRET)
PROVIDER = ProviderObject.of(examples.PROVIDER, examples.SECRET)
PARTITION = PartitionObject.of(examples.REGISTERED, examples.SOURCE, examples.PROVIDER)


@router.post("/sources/register", responses=_shown(Registered(registered_object=SOURCE)))
def register_source(
    source_name: SourceName, owner: Owner, service: InService, token: GivenToken
) -> Registered[SourceObject]:
    """Register a source. Its access token is in this response, and in no later one."""
    service.access.require_registrar(token)
    registration = service.store.register_source(source_name, owner)
    return Registered(registered_object=SourceObject.of(registration.source, registration.access_token))


@router.post("/providers/register", responses=_shown(Registered(registered_object=PROVIDER)))
def register_provider(
    provider_name: ProviderName, service: InService, bearer: Token, token: GivenToken
) -> Registered[ProviderObject]:
    """Register a provider with a source's access token. A new provider's own token is in this response alone.

    An existing provider agrees by its own token (or the administrator's) as the bearer token; the source's token is
    then the parameter.
    """
    provider_token = None if token == bearer else bearer.text
    with service.access.granting(token, provider_token) as (source_token, agreeing):
        registration = service.store.register_provider(provider_name, source_token, provider_token=agreeing)
    return Registered(registered_object=ProviderObject.of(registration.provider, registration.access_token))


@router.post("/partitions/register", responses=_shown(Registered(registered_object=PARTITION)))
def register_partition(key: Key, service: InService, token: GivenToken) -> Registered[PartitionObject]:
    """Register a partition."""
    service.access.require_writer(token, key.source_name, key.provider_name)
    partition = service.store.register_partition(key)
    return Registered(registered_object=PartitionObject.of(partition, *_owners(service, key)))


@router.post("/partitions/lock", responses=_shown(_event(EventType.LOCK, examples.LOCKED)))
def lock(
    key: Key,
    service: InService,
    token: GivenToken,
    holder: HolderName = None,
    lease_seconds: Seconds | None = None,
    exclusive: bool = False,
) -> Registered[EventObject]:
    """Take the lock before (re)writing a partition."""
    service.access.require_writer(token, key.source_name, key.provider_name)
    locked = service.store.lock(key, holder=holder, lease=to_lease(lease_seconds), exclusive=exclusive)
    return _event(EventType.LOCK, locked, *_owners(service, key))


@router.post("/partitions/unlock", responses=_shown(_event(EventType.UNLOCK, examples.READY)))
def unlock(
    key: Key,
    service: InService,
    token: GivenToken,
    holder: HolderName = None,
    generation: Generation | None = None,
    reason: FailureReason | None = None,
) -> Registered[EventObject]:
    """Publish: the data is good. With a reason, mark the write as failed."""
    service.access.require_writer(token, key.source_name, key.provider_name)
    if reason is None:
        published = service.store.unlock(key, holder=holder, generation=generation)
        return _event(EventType.UNLOCK, published, *_owners(service, key))
    failed = service.store.fail(key, reason=reason, holder=holder, generation=generation)
    return _event(EventType.FAIL, failed, *_owners(service, key))


@router.get(READINESS_PATH, responses=_shown(ReadinessAnswer.of(examples.NOT_READY)))
def check_readiness(
    source_name: SourceName,
    start: Start,
    end: End,
    service: InService,
    reader: Reader,
    token: GivenToken,
    named_again: NamedAgain = None,
) -> ReadinessAnswer:
    """Say whether ``[start, end)`` of a source may be read, and if not, exactly why."""
    service.access.require_reader(token)
    if named_again not in (None, source_name) and _in_path(named_again) == source_name:
        raise InvalidInputError(
            f"The path asks for source {source_name!r}, which is what becomes of {named_again!r} unless it is encoded. "
            f"Percent-encode the name in the path, or ask /api/v1/readiness, where the query alone names it."
        )
    return to_response(service.answer(Question(source_name, Interval(start, end)), reader))


def _in_path(name: str) -> str:
    """What a name becomes if a client puts it into a path without encoding it."""
    return posixpath.normpath(unquote(name))


def to_response(found: Answer) -> ReadinessAnswer:
    """The answer to a readiness question in the original's form.

    :raises UnknownSourceError: no such source.
    """
    if isinstance(found, UnknownSourceError):
        raise found
    return ReadinessAnswer.of(found)


def _owners(service: Service, key: PartitionKey) -> tuple[Source, Provider]:
    return service.store.get_source(key.source_name), service.store.get_provider(key.provider_name)
