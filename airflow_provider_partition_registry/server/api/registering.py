"""Routes of sources and providers."""

from __future__ import annotations

from fastapi import APIRouter, Response

from airflow_provider_partition_registry.domain.models import Page
from airflow_provider_partition_registry.domain.principals import (
    Provider,
    ProviderRegistration,
    Source,
    SourceRegistration,
)
from airflow_provider_partition_registry.server.access.permissions import Token
from airflow_provider_partition_registry.server.aged import Reader
from airflow_provider_partition_registry.server.api.responses import respond, responses_of
from airflow_provider_partition_registry.server.api.strict import WritingRoute
from airflow_provider_partition_registry.server.openapi import examples
from airflow_provider_partition_registry.server.openapi.refusals import WITH_A_BODY
from airflow_provider_partition_registry.server.service import InService
from airflow_provider_partition_registry.store.wire.fields import (
    AfterName,
    Body,
    Limit,
    Owner,
    ProviderName,
    ProviderToken,
    SourceName,
    Uri,
)

router = APIRouter(route_class=WritingRoute, tags=["Sources and providers"])


class NewSource(Body):
    """A source to register."""

    source_name: SourceName
    owner: Owner
    uri: Uri = None


class NewUri(Body):
    """Where a source's data is; null if that is not known any more."""

    source_name: SourceName
    uri: Uri


class NewProvider(Body):
    """A provider to register; the bearer token is that of the source to which it will write."""

    provider_name: ProviderName
    provider_token: ProviderToken = None


@router.post(
    "/sources",
    status_code=201,
    response_model=SourceRegistration,
    responses=responses_of(SourceRegistration, examples.SOURCE_REGISTRATION, *WITH_A_BODY, 409, status=201),
)
def register_source(body: NewSource, service: InService, token: Token) -> Response:
    """Register a source. Its access token is in this response, and in no later one."""
    service.access.require_registrar(token)
    registration = service.store.register_source(body.source_name, body.owner, uri=body.uri)
    return respond(SourceRegistration, registration, 201)


@router.post(
    "/sources/set-uri",
    response_model=Source,
    responses=responses_of(Source, examples.SOURCE, *WITH_A_BODY, 404),
)
def set_source_uri(body: NewUri, service: InService, token: Token) -> Response:
    """Change the real address of a source's data."""
    service.access.require_owner(token, body.source_name)
    return respond(Source, service.store.set_source_uri(body.source_name, body.uri))


@router.get(
    "/sources",
    response_model=Page[Source],
    responses=responses_of(Page[Source], Page((examples.SOURCE,))),
)
def list_sources(
    service: InService, reader: Reader, token: Token, after: AfterName = None, limit: Limit = 100
) -> Response:
    """List sources in the order of their names."""
    service.access.require_reader(token)
    return respond(Page[Source], reader.list_sources(after, limit))


@router.get("/source", response_model=Source, responses=responses_of(Source, examples.SOURCE, 404))
def get_source(source_name: SourceName, service: InService, reader: Reader, token: Token) -> Response:
    """Look up one source."""
    service.access.require_reader(token)
    return respond(Source, reader.get_source(source_name))


@router.post(
    "/providers",
    status_code=201,
    response_model=ProviderRegistration,
    responses=responses_of(
        ProviderRegistration, examples.PROVIDER_REGISTRATION, *WITH_A_BODY, 409, status=201
    ),
)
def register_provider(body: NewProvider, service: InService, token: Token) -> Response:
    """Register a provider for the source whose access token is the bearer token, or add a grant to an existing one.

    The response to registering a new provider contains its own access token, which no later one does. An existing
    provider has to agree.
    """
    with service.access.granting(token, body.provider_token) as (source_token, agreeing):
        registration = service.store.register_provider(
            body.provider_name, source_token, provider_token=agreeing
        )
    return respond(ProviderRegistration, registration, 201)


@router.get(
    "/providers",
    response_model=Page[Provider],
    responses=responses_of(Page[Provider], Page((examples.PROVIDER,)), 404),
)
def list_providers(
    service: InService,
    reader: Reader,
    token: Token,
    source_name: SourceName | None = None,
    after: AfterName = None,
    limit: Limit = 100,
) -> Response:
    """List providers in the order of their names, all or those with a grant on a source."""
    service.access.require_reader(token)
    return respond(Page[Provider], reader.list_providers(source_name, after, limit))


@router.get("/provider", response_model=Provider, responses=responses_of(Provider, examples.PROVIDER, 404))
def get_provider(provider_name: ProviderName, service: InService, reader: Reader, token: Token) -> Response:
    """Look up one provider."""
    service.access.require_reader(token)
    return respond(Provider, reader.get_provider(provider_name))
