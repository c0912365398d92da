"""Providers: ``provider register`` and ``provider list``."""

from __future__ import annotations

import sys
from functools import partial

import click

from airflow_provider_partition_registry.cli.options import (
    PROVIDER_TOKEN_VARIABLE,
    TOKEN_VARIABLE,
    Settings,
    common_options,
)
from airflow_provider_partition_registry.cli.output import show, table
from airflow_provider_partition_registry.domain.intervals import format_to_the_second
from airflow_provider_partition_registry.domain.principals import Provider, ProviderRegistration
from airflow_provider_partition_registry.store.paging import all_items

NO_TOKEN = f"No access token given. Set {TOKEN_VARIABLE}, pass --access-token, or write it to standard input"


@click.group(no_args_is_help=False)
def provider() -> None:
    """Register and list providers: who supplies data to sources."""


@provider.command()
@click.argument("name")
@click.option(
    "--access-token",
    envvar=TOKEN_VARIABLE,
    show_envvar=True,
    metavar="TOKEN",
    help="The token of the source it writes to. Everybody on the host can see what is written here: better set the "
    "variable, or leave it out.",
)
@click.option(
    "--provider-token",
    envvar=PROVIDER_TOKEN_VARIABLE,
    show_envvar=True,
    metavar="TOKEN",
    help="The provider's own token, or the administrator's, by which a provider that exists agrees. Asked for by a web "
    "service only.",
)
@common_options
@click.pass_obj
def register(
    settings: Settings, name: str, access_token: str | None, provider_token: str | None, as_json: bool
) -> None:
    """Register a provider for a source, whose access token says which.

    That token comes from --access-token, else from the variable, else from standard input; on a terminal it is asked
    for. The first time the provider's own access token is printed, this once, as the last line; the registry keeps only
    its hash. A provider may be registered for many sources, one after the other; a web service then takes its own token
    as well.
    """
    settings.require_url()
    token = (access_token or "").strip() or _read_token()
    agreeing = (provider_token or "").strip() or None
    with settings.open_store() as store:
        registration = store.register_provider(name, token, provider_token=agreeing)
    show(registration, lambda: _registration_text(registration), as_json=as_json)


@provider.command("list")
@click.option("--source", "source_name", metavar="SOURCE", help="Only those that may write to it.")
@common_options
@click.pass_obj
def list_(settings: Settings, source_name: str | None, as_json: bool) -> None:
    """List providers, and the sources they may write to."""
    with settings.open_existing_store() as store:
        providers = list(all_items(partial(store.list_providers, source_name)))
    show(providers, lambda: _list_text(providers), as_json=as_json)


def _read_token() -> str:
    if sys.stdin is None:  # closed, as with <&-
        raise click.UsageError(NO_TOKEN)
    is_asked = sys.stdin.isatty()
    token = str(click.prompt("Access token", hide_input=True, err=True)) if is_asked else sys.stdin.readline()
    if not token.strip():
        raise click.UsageError(NO_TOKEN)
    return token.strip()


def _registration_text(registration: ProviderRegistration) -> str:
    sentence = may_write(registration.provider)
    if registration.access_token is None:
        return sentence
    return (
        f"{sentence}\n"
        f"Its access token, which is shown only now, and by which the web service knows it:\n"
        f"{registration.access_token}"
    )


def may_write(provider: Provider) -> str:
    """A sentence on where the provider may write."""
    names = ", ".join(map(repr, provider.source_names)) or "no source"
    return f"Provider {provider.name!r} may write to {names}."


def _list_text(providers: list[Provider]) -> str:
    rows = [
        (each.name, ", ".join(each.source_names), format_to_the_second(each.registered_at))
        for each in providers
    ]
    return table(("PROVIDER", "SOURCES", "REGISTERED"), rows, empty="No providers.")
