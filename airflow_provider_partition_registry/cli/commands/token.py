"""Access tokens (R10): ``token list``, ``token rotate`` and ``token revoke``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial, update_wrapper
from typing import Any, TypeVar

import click

from airflow_provider_partition_registry.cli.instants import DurationType
from airflow_provider_partition_registry.cli.options import (
    Options,
    common_options,
    decision_options,
)
from airflow_provider_partition_registry.cli.output import show, table
from airflow_provider_partition_registry.domain.intervals import format_to_the_second
from airflow_provider_partition_registry.domain.principals import (
    AccessToken,
    IssuedToken,
    Principal,
    PrincipalKind,
)
from airflow_provider_partition_registry.store.paging import all_items

Function = TypeVar("Function", bound=Callable[..., Any])


def principal_options(function: Function) -> Function:
    """Add ``--source`` and ``--provider``, one of which must be given; the function gets it as ``principal``."""

    def with_principal(*args: Any, of_source: str | None, of_provider: str | None, **values: Any) -> Any:
        given = {PrincipalKind.SOURCE: of_source, PrincipalKind.PROVIDER: of_provider}
        principals = [Principal(kind, name) for kind, name in given.items() if name is not None]
        if len(principals) != 1:
            raise click.UsageError("Whose tokens? Give either --source or --provider.")
        return function(*args, principal=principals[0], **values)

    command = update_wrapper(with_principal, function)
    command = click.option(
        "--provider", "of_provider", metavar="PROVIDER", help="The provider whose tokens are meant."
    )(command)
    return click.option("--source", "of_source", metavar="SOURCE", help="The source whose tokens are meant.")(
        command
    )  # type: ignore[return-value]


@click.group(no_args_is_help=False)
def token() -> None:
    """List, rotate and revoke access tokens."""


@token.command("list")
@principal_options
@common_options
@click.pass_obj
def list_(options: Options, principal: Principal, as_json: bool) -> None:
    """List the access tokens of a source or a provider: their ids, never their secrets."""
    with options.open_existing_store() as store:
        tokens = list(all_items(partial(store.list_tokens, principal)))
    show(tokens, lambda: _list_text(tokens), as_json=as_json)


@token.command()
@principal_options
@click.option(
    "--overlap",
    type=DurationType(),
    help="How long the other tokens stay valid, for example 1d. By default they are revoked at once.",
)
@click.option(
    "--expires-in",
    type=DurationType(),
    help="How long the new token is valid, for example 90d. By default without limit.",
)
@common_options
@click.pass_obj
def rotate(
    options: Options,
    principal: Principal,
    *,
    overlap: timedelta | None,
    expires_in: timedelta | None,
    as_json: bool,
) -> None:
    """Issue a new access token and revoke the others.

    The token is printed only this once, as the last line; the registry keeps only a hash of it. If it is lost, rotate
    again.
    """
    with options.open_store() as store:
        issued = store.rotate_token(principal, overlap=overlap or timedelta(0), expires_in=expires_in)
    show(issued, lambda: _issued_text(issued, overlap), as_json=as_json)


@token.command()
@click.argument("token_id", metavar="TOKEN_ID")
@decision_options
@common_options
@click.pass_obj
def revoke(options: Options, token_id: str, *, reason: str, by: str, as_json: bool) -> None:
    """Revoke one access token at once, by the id that "token list" shows."""
    with options.open_store() as store:
        revoked = store.revoke_token(token_id, reason=reason, by=by)
    show(revoked, lambda: _revoked_text(revoked), as_json=as_json)


def _list_text(tokens: list[AccessToken]) -> str:
    rows = [(each.id, *map(_instant, (each.created_at, each.expires_at, each.revoked_at))) for each in tokens]
    return table(("TOKEN ID", "ISSUED", "EXPIRES", "REVOKED"), rows, empty="No access tokens.")


def _issued_text(issued: IssuedToken, overlap: timedelta | None) -> str:
    new = issued.token
    until = f"until {format_to_the_second(new.expires_at)}" if new.expires_at else "without limit"
    ends = f"expire at {format_to_the_second(new.created_at + overlap)}" if overlap else "are revoked"
    return (
        f"The new access token of {new.principal} has the id {new.id} and is valid {until}; its others {ends}.\n"
        f"The token, which is shown only now:\n"
        f"{issued.access_token}"
    )


def _revoked_text(revoked: AccessToken) -> str:
    return (
        f"Access token {revoked.id} of {revoked.principal} is revoked since {_instant(revoked.revoked_at)}."
    )


def _instant(instant: datetime | None) -> str | None:
    return None if instant is None else format_to_the_second(instant)
