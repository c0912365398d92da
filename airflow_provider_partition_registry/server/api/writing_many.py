"""Routes about many partitions of one provider and source at once: all of them are changed, or none (R11)."""

from __future__ import annotations

from fastapi import APIRouter, Response

from airflow_provider_partition_registry.domain.many_requests import ManyRequest
from airflow_provider_partition_registry.domain.requests import Ending
from airflow_provider_partition_registry.server.access.permissions import Token
from airflow_provider_partition_registry.server.api.responses import respond, responses_of
from airflow_provider_partition_registry.server.api.strict import WritingRoute
from airflow_provider_partition_registry.server.api.writing import WHEN_WRITING
from airflow_provider_partition_registry.server.openapi import examples
from airflow_provider_partition_registry.server.service import InService, Service
from airflow_provider_partition_registry.store.wire.answers import Partitions
from airflow_provider_partition_registry.store.wire.many_requests import (
    FailManyBody,
    FinishManyBody,
    LockManyBody,
    ManyBody,
)

router = APIRouter(route_class=WritingRoute, tags=["Partitions"])


@router.post(
    "/partitions/register-many",
    status_code=201,
    response_model=Partitions,
    responses=responses_of(Partitions, Partitions((examples.REGISTERED,)), *WHEN_WRITING, status=201),
)
def register_many(body: ManyBody, service: InService, token: Token) -> Response:
    """Register partitions. They cover and block nothing yet."""
    service.access.require_writer(token, body.source_name, body.provider_name)
    return respond(Partitions, Partitions(tuple(service.store.register_many(body.keys()))), 201)


@router.post(
    "/partitions/lock-many",
    response_model=Partitions,
    responses=responses_of(Partitions, Partitions((examples.LOCKED,)), *WHEN_WRITING),
)
def lock_many(body: LockManyBody, service: InService, token: Token) -> Response:
    """Take the locks before (re)writing partitions (R3).

    Safe to repeat after a lost response: the same holder is granted the locks again, with new generations.
    """
    service.access.require_writer(token, body.source_name, body.provider_name)
    return _change(service, body.request())


@router.post(
    "/partitions/unlock-many",
    response_model=Partitions,
    responses=responses_of(Partitions, Partitions((examples.READY,)), *WHEN_WRITING),
)
def unlock_many(body: FinishManyBody, service: InService, token: Token) -> Response:
    """Publish: the data is good, the partitions become ready (R4).

    Safe to repeat after a lost response: a finished call gets the same response again and changes nothing.
    """
    service.access.require_writer(token, body.source_name, body.provider_name)
    return _change(service, body.request(Ending.UNLOCK))


@router.post(
    "/partitions/fail-many",
    response_model=Partitions,
    responses=responses_of(Partitions, Partitions((examples.FAILED,)), *WHEN_WRITING),
)
def fail_many(body: FailManyBody, service: InService, token: Token) -> Response:
    """End writes that went wrong: the partitions become failed and go on blocking readers (R4)."""
    service.access.require_writer(token, body.source_name, body.provider_name)
    return _change(service, body.request(Ending.FAIL, body.reason))


@router.post(
    "/partitions/release-many",
    response_model=Partitions,
    responses=responses_of(Partitions, Partitions((examples.RELEASED,)), *WHEN_WRITING),
)
def release_many(body: FinishManyBody, service: InService, token: Token) -> Response:
    """Release locks under which nothing was written: the partitions become again what they were before (R4).

    Safe to repeat after a lost response: a finished call gets the same response again and changes nothing.
    """
    service.access.require_writer(token, body.source_name, body.provider_name)
    return _change(service, body.request(Ending.RELEASE))


def _change(service: Service, request: ManyRequest) -> Response:
    return respond(Partitions, Partitions(tuple(service.store.change_many(request))))
