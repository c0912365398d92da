"""Routes of access tokens and grants, for those to whom they belong (R10)."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import Field

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.domain.models import Page
from airflow_provider_partition_registry.domain.principals import (
    AccessToken,
    IssuedToken,
    Principal,
    PrincipalKind,
    Provider,
)
from airflow_provider_partition_registry.server.access.permissions import Token
from airflow_provider_partition_registry.server.api.responses import respond, responses_of
from airflow_provider_partition_registry.server.api.strict import WritingRoute
from airflow_provider_partition_registry.server.openapi import examples
from airflow_provider_partition_registry.server.openapi.refusals import WITH_A_BODY
from airflow_provider_partition_registry.server.service import InService
from airflow_provider_partition_registry.store.wire.fields import (
    AfterName,
    Body,
    By,
    Limit,
    ProviderName,
    Reason,
    Seconds,
    SourceName,
    TokenId,
    to_duration,
)

router = APIRouter(route_class=WritingRoute, tags=["Access tokens"])


class RotateBody(Body):
    """The source or provider whose token to replace."""

    source_name: SourceName | None = None
    provider_name: Annotated[ProviderName | None, Field(examples=["nightly-load"])] = None
    overlap_seconds: Annotated[
        Seconds, Field(description="How long the old tokens stay valid; 0 revokes them.")
    ] = 0
    expires_in_seconds: Annotated[Seconds | None, Field(description="How long the new token is valid.")] = (
        None
    )


class RevokeTokenBody(Body):
    """A token to revoke at once."""

    token_id: TokenId
    reason: Reason
    by: By


class RevokeGrantBody(Body):
    """A provider's right to write to a source, to be revoked."""

    source_name: SourceName
    provider_name: ProviderName
    reason: Reason
    by: By


@router.get(
    "/tokens",
    response_model=Page[AccessToken],
    responses=responses_of(Page[AccessToken], Page((examples.TOKEN,)), 404),
)
def list_tokens(
    service: InService,
    token: Token,
    source_name: SourceName | None = None,
    provider_name: ProviderName | None = None,
    after: AfterName = None,
    limit: Limit = 100,
) -> Response:
    """List the tokens of a source or a provider, never their secrets."""
    principal = _principal(source_name, provider_name)
    service.access.require_self(token, principal)
    return respond(Page[AccessToken], service.store.list_tokens(principal, after, limit))


@router.get("/tokens/self", response_model=AccessToken, responses=responses_of(AccessToken, examples.TOKEN))
def identify_token(service: InService, token: Token) -> Response:
    """Say whose the bearer token is."""
    return respond(AccessToken, service.access.identify(token))


@router.get("/token", response_model=AccessToken, responses=responses_of(AccessToken, examples.TOKEN, 404))
def get_token(token_id: TokenId, service: InService, token: Token) -> Response:
    """Look up one token by its id."""
    return respond(AccessToken, service.access.require_own_token(token, token_id))


@router.post(
    "/tokens/rotate",
    status_code=201,
    response_model=IssuedToken,
    responses=responses_of(IssuedToken, examples.ISSUED, *WITH_A_BODY, 404, status=201),
)
def rotate_token(body: RotateBody, service: InService, token: Token) -> Response:
    """Issue a new token for a source or a provider. The token is in this response, and in no later one.

    The other tokens stay valid for the overlap; without an overlap they are revoked.
    """
    principal = _principal(body.source_name, body.provider_name)
    service.access.require_self(token, principal)
    overlap = to_duration(body.overlap_seconds)
    expires_in = None if body.expires_in_seconds is None else to_duration(body.expires_in_seconds)
    issued = service.store.rotate_token(principal, overlap=overlap, expires_in=expires_in)
    return respond(IssuedToken, issued, 201)


@router.post(
    "/tokens/revoke",
    response_model=AccessToken,
    responses=responses_of(AccessToken, replace(examples.TOKEN, revoked_at=examples.NOW), *WITH_A_BODY, 404),
)
def revoke_token(body: RevokeTokenBody, service: InService, token: Token) -> Response:
    """Revoke one token at once."""
    service.access.require_own_token(token, body.token_id)
    return respond(AccessToken, service.store.revoke_token(body.token_id, reason=body.reason, by=body.by))


@router.post(
    "/grants/revoke",
    response_model=Provider,
    responses=responses_of(Provider, replace(examples.PROVIDER, source_names=()), *WITH_A_BODY, 404),
)
def revoke_grant(body: RevokeGrantBody, service: InService, token: Token) -> Response:
    """Revoke a provider's right to write to a source."""
    service.access.require_owner(token, body.source_name)
    provider = service.store.revoke_grant(
        body.source_name, body.provider_name, reason=body.reason, by=body.by
    )
    return respond(Provider, provider)


def _principal(source_name: str | None, provider_name: str | None) -> Principal:
    if (source_name is None) == (provider_name is None):
        raise InvalidInputError("Give either source_name or provider_name, and not both.")
    if source_name is not None:
        return Principal(PrincipalKind.SOURCE, source_name)
    assert provider_name is not None
    return Principal(PrincipalKind.PROVIDER, provider_name)
