"""Routes of partitions: registering, locking, publishing, and what people decide by hand."""

from __future__ import annotations

from fastapi import APIRouter, Response

from airflow_provider_partition_registry.domain.intervals import EARLIEST, LATEST, Interval
from airflow_provider_partition_registry.domain.models import LockCounts, Page, Partition, PartitionKey
from airflow_provider_partition_registry.domain.requests import Decision
from airflow_provider_partition_registry.server.access.permissions import Token
from airflow_provider_partition_registry.server.aged import Reader
from airflow_provider_partition_registry.server.api.responses import respond, responses_of
from airflow_provider_partition_registry.server.api.strict import WritingRoute
from airflow_provider_partition_registry.server.openapi import examples
from airflow_provider_partition_registry.server.openapi.refusals import WITH_A_BODY
from airflow_provider_partition_registry.server.service import InService
from airflow_provider_partition_registry.store.wire.fields import (
    AfterNumber,
    End,
    HolderPrefix,
    Limit,
    ProviderName,
    SourceName,
    Start,
)
from airflow_provider_partition_registry.store.wire.requests import (
    DecisionBody,
    FailBody,
    ForceReleaseBody,
    KeyBody,
    LockBody,
    ReleaseBody,
    RenewBody,
    UnlockBody,
)

router = APIRouter(route_class=WritingRoute, tags=["Partitions"])

WHEN_WRITING = (404, *WITH_A_BODY, 409)


@router.post(
    "/partitions",
    status_code=201,
    response_model=Partition,
    responses=responses_of(Partition, examples.REGISTERED, *WHEN_WRITING, status=201),
)
def register_partition(body: KeyBody, service: InService, token: Token) -> Response:
    """Register a partition. It covers and blocks nothing yet."""
    service.access.require_writer(token, body.source_name, body.provider_name)
    return respond(Partition, service.store.register_partition(body.key()), 201)


@router.post(
    "/partitions/lock",
    response_model=Partition,
    responses=responses_of(Partition, examples.LOCKED, *WHEN_WRITING),
)
def lock(body: LockBody, service: InService, token: Token) -> Response:
    """Take the lock before (re)writing a partition (R3).

    Safe to repeat after a lost response: the same holder is granted the lock again, with a new generation.
    """
    service.access.require_writer(token, body.source_name, body.provider_name)
    return respond(Partition, service.store.change(body.request()))


@router.post(
    "/partitions/renew",
    response_model=Partition,
    responses=responses_of(Partition, examples.LOCKED, *WHEN_WRITING),
)
def renew(body: RenewBody, service: InService, token: Token) -> Response:
    """Let the lease of a held lock run for this many seconds from now on (R5)."""
    service.access.require_writer(token, body.source_name, body.provider_name)
    return respond(Partition, service.store.change(body.request()))


@router.post(
    "/partitions/unlock",
    response_model=Partition,
    responses=responses_of(Partition, examples.READY, *WHEN_WRITING),
)
def unlock(body: UnlockBody, service: InService, token: Token) -> Response:
    """Publish: the data is good, the partition becomes ready (R4).

    Safe to repeat after a lost response: a finished call gets the same response again and changes nothing.
    """
    service.access.require_writer(token, body.source_name, body.provider_name)
    return respond(Partition, service.store.change(body.request()))


@router.post(
    "/partitions/fail",
    response_model=Partition,
    responses=responses_of(Partition, examples.FAILED, *WHEN_WRITING),
)
def fail(body: FailBody, service: InService, token: Token) -> Response:
    """End a write that went wrong: the partition becomes failed and goes on blocking readers (R4)."""
    service.access.require_writer(token, body.source_name, body.provider_name)
    return respond(Partition, service.store.change(body.request()))


@router.post(
    "/partitions/release",
    response_model=Partition,
    responses=responses_of(Partition, examples.RELEASED, *WHEN_WRITING),
)
def release(body: ReleaseBody, service: InService, token: Token) -> Response:
    """Release a lock under which nothing was written: the partition becomes again what it was before (R4).

    Safe to repeat after a lost response: a finished call gets the same response again and changes nothing.
    """
    service.access.require_writer(token, body.source_name, body.provider_name)
    return respond(Partition, service.store.change(body.request()))


@router.post(
    "/partitions/force-release",
    response_model=Partition,
    responses=responses_of(Partition, examples.FAILED, *WHEN_WRITING),
)
def force_release(body: ForceReleaseBody, service: InService, token: Token) -> Response:
    """Take a lock from its holder (R6)."""
    service.access.require_owner(token, body.source_name)
    return respond(Partition, service.store.change(body.request()))


@router.post(
    "/partitions/invalidate",
    response_model=Partition,
    responses=responses_of(Partition, examples.FAILED, *WHEN_WRITING),
)
def invalidate(body: DecisionBody, service: InService, token: Token) -> Response:
    """Declare published data bad: the partition becomes failed (R6)."""
    service.access.require_owner(token, body.source_name)
    return respond(Partition, service.store.change(body.request(Decision.INVALIDATE)))


@router.post(
    "/partitions/withdraw",
    response_model=Partition,
    responses=responses_of(Partition, examples.REGISTERED, *WHEN_WRITING),
)
def withdraw(body: DecisionBody, service: InService, token: Token) -> Response:
    """Take a partition back to registered, where it covers and blocks nothing (R6)."""
    service.access.require_owner(token, body.source_name)
    return respond(Partition, service.store.change(body.request(Decision.WITHDRAW)))


@router.get(
    "/partitions",
    response_model=Page[Partition],
    responses=responses_of(Page[Partition], Page((examples.READY,)), 404),
)
def list_partitions(
    service: InService,
    reader: Reader,
    token: Token,
    source_name: SourceName,
    start: Start | None = None,
    end: End | None = None,
    provider_name: ProviderName | None = None,
    after: AfterNumber = None,
    limit: Limit = 100,
) -> Response:
    """List partitions of a source or of one provider in the order of their start, all or those in ``[start, end)``."""
    service.access.require_reader(token)
    interval = None if start is None and end is None else Interval(start or EARLIEST, end or LATEST)
    found = reader.list_partitions(source_name, interval, after, limit, provider_name)
    return respond(Page[Partition], found)


@router.get("/locks/count", response_model=LockCounts, responses=responses_of(LockCounts, LockCounts(2, 1)))
def count_locks(service: InService, reader: Reader, token: Token) -> Response:
    """Count the locks of all sources, at most 10,000 per source."""
    service.access.require_reader(token)
    return respond(LockCounts, reader.count_locks())


@router.get(
    "/locks",
    response_model=Page[Partition],
    responses=responses_of(Page[Partition], Page((examples.LOCKED,))),
)
def list_locks(
    service: InService,
    reader: Reader,
    token: Token,
    holder_prefix: HolderPrefix = None,
    after: AfterNumber = None,
    limit: Limit = 100,
) -> Response:
    """List the locks of all sources, held and expired, in the order in which their partitions were registered."""
    service.access.require_reader(token)
    return respond(Page[Partition], reader.list_locks(holder_prefix, after, limit))


@router.get("/partition", response_model=Partition, responses=responses_of(Partition, examples.READY, 404))
def get_partition(
    service: InService,
    reader: Reader,
    token: Token,
    source_name: SourceName,
    provider_name: ProviderName,
    start: Start,
    end: End,
) -> Response:
    """Look up one partition."""
    service.access.require_reader(token)
    found = reader.get_partition(PartitionKey(source_name, provider_name, Interval(start, end)))
    return respond(Partition, found)
