"""The six routes of the original partition-registry service, for clients that were written for it.

All parameters are query parameters; what they mean beyond the original's is the versioned API's.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from airflow_provider_partition_registry.domain.errors import UnknownSourceError
from airflow_provider_partition_registry.domain.explanation import explain
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.jsonable import to_jsonable
from airflow_provider_partition_registry.domain.models import (
    EventType,
    Partition,
    Provider,
    Question,
    Source,
)
from airflow_provider_partition_registry.server.access import Token
from airflow_provider_partition_registry.server.api.bodies import to_lease
from airflow_provider_partition_registry.server.service import InService, Service
from airflow_provider_partition_registry.store.base import Answer

READINESS_PATH = "/sources/{source_name:path}/check_readiness"

router = APIRouter(tags=["The original's routes"])


def _token(
    token: Token,
    access_token: Annotated[str | None, Query(description="In place of the bearer token.")] = None,
) -> str | None:
    return token or access_token


GivenToken = Annotated[str | None, Depends(_token)]


class Place:
    """The partition that a call is about."""

    def __init__(self, start: str, end: str, source_name: str, provider_name: str) -> None:
        self.source_name = source_name
        self.provider_name = provider_name
        self.interval = Interval(start, end)

    def __iter__(self) -> Any:
        """As the store's methods take it."""
        return iter((self.source_name, self.provider_name, self.interval))


InPlace = Annotated[Place, Depends()]
Generation = Annotated[int | None, Query(description="The fencing token that locking answered.")]
HolderName = Annotated[str | None, Query(description="Who writes; without one the provider itself does.")]


@router.post("/sources/register")
def register_source(source_name: str, owner: str, service: InService, token: Token) -> dict[str, Any]:
    """Register a source. The answer holds its access token, this once."""
    service.access.require_registrar(token)
    registration = service.store.register_source(source_name, owner)
    return _registered(_source(registration.source, registration.access_token))


@router.post("/providers/register")
def register_provider(provider_name: str, access_token: str, service: InService) -> dict[str, Any]:
    """Register a provider with a source's access token. A new one gets a token of its own, this once."""
    registration = service.store.register_provider(provider_name, access_token)
    return _registered(_provider(registration.provider, registration.access_token))


@router.post("/partitions/register")
def register_partition(place: InPlace, service: InService, token: GivenToken) -> dict[str, Any]:
    """Make a partition known."""
    service.access.require_writer(token, place.source_name, place.provider_name)
    return _registered(_partition(service, service.store.register_partition(*place)))


@router.post("/partitions/lock")
def lock(
    place: InPlace,
    service: InService,
    token: GivenToken,
    holder: HolderName = None,
    lease_seconds: float | None = None,
    exclusive: bool = False,
) -> dict[str, Any]:
    """Take the lock before (re)writing a partition."""
    service.access.require_writer(token, place.source_name, place.provider_name)
    locked = service.store.lock(*place, holder=holder, lease=to_lease(lease_seconds), exclusive=exclusive)
    return _happened(service, EventType.LOCK, locked)


@router.post("/partitions/unlock")
def unlock(
    place: InPlace,
    service: InService,
    token: GivenToken,
    holder: HolderName = None,
    generation: Generation = None,
    reason: Annotated[str | None, Query(description="The write went wrong: say why, and fail it.")] = None,
) -> dict[str, Any]:
    """Publish: the data is good. With a reason: the write went wrong."""
    service.access.require_writer(token, place.source_name, place.provider_name)
    if reason is None:
        published = service.store.unlock(*place, holder=holder, generation=generation)
        return _happened(service, EventType.UNLOCK, published)
    failed = service.store.fail(*place, reason=reason, holder=holder, generation=generation)
    return _happened(service, EventType.FAIL, failed)


@router.get(READINESS_PATH)
def check_readiness(
    source_name: str, start: str, end: str, service: InService, token: GivenToken
) -> dict[str, Any]:
    """Say whether ``[start, end)`` of a source may be read, and if not, exactly why."""
    service.access.require_reader(token)
    return to_body(service.answer(Question(source_name, Interval(start, end))))


def to_body(found: Answer) -> dict[str, Any]:
    """The answer to a readiness question as the original's clients read it.

    :raises UnknownSourceError: no such source.
    """
    if isinstance(found, UnknownSourceError):
        raise found
    return {
        "status_code": 200,
        "is_ready": found.is_ready,
        "message": None if found.is_ready else " ".join(explain(found).split()),
        "gaps": to_jsonable(found.gaps),
        "blockers": to_jsonable(found.blockers),
        "as_of": found.as_of,
    }


def _registered(what: dict[str, Any]) -> dict[str, Any]:
    return {"status_code": 200, "registered_object": what}


def _happened(service: Service, event: EventType, partition: Partition) -> dict[str, Any]:
    lock = partition.lock
    return _registered(
        {
            "partition": _partition(service, partition),
            "event_type": event.value,
            "registered_at": to_jsonable(partition.changed_at),
            "generation": partition.generation,
            "holder": lock.holder.identity if lock else None,
            "expires_at": to_jsonable(lock.expires_at) if lock else None,
        }
    )


def _source(source: Source, access_token: str | None = None) -> dict[str, Any]:
    return {
        "source_id": source.id,
        "name": source.name,
        "owner": source.owner,
        "access_token": _handed_out(access_token),
        "registered_at": to_jsonable(source.registered_at),
    }


def _provider(provider: Provider, access_token: str | None = None) -> dict[str, Any]:
    return {
        "provider_id": provider.id,
        "name": provider.name,
        "access_token": _handed_out(access_token),
        "registered_at": to_jsonable(provider.registered_at),
    }


def _partition(service: Service, partition: Partition) -> dict[str, Any]:
    return {
        "partition_id": partition.id,
        "start": to_jsonable(partition.start),
        "end": to_jsonable(partition.end),
        "source": _source(service.store.get_source(partition.source_name)),
        "provider": _provider(service.store.get_provider(partition.provider_name)),
        "registered_at": to_jsonable(partition.registered_at),
    }


def _handed_out(access_token: str | None) -> dict[str, str] | None:
    return None if access_token is None else {"token": access_token}
