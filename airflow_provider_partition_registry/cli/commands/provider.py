"""Providers: ``provider register`` and ``provider list``."""

from __future__ import annotations

import sys
from functools import partial

import click

from airflow_provider_partition_registry.cli.options import (
    PROVIDER_TOKEN_VARIABLE,
    TOKEN_VARIABLE,
    Options,
    common_options,
)
from airflow_provider_partition_registry.cli.output import show, table
from airflow_provider_partition_registry.domain.intervals import format_to_the_second
from airflow_provider_partition_registry.domain.principals import Provider, ProviderRegistration
from airflow_provider_partition_registry.store.paging import all_items

NO_TOKEN = f"No access token given. Set {TOKEN_VARIABLE}, pass --access-token, or write it to standard input"


@click.group(no_args_is_help=False)
def provider() -> None:
    """Register and list providers, which supply data to sources."""


@provider.command()
@click.argument("name")
@click.option(
    "--access-token",
    envvar=TOKEN_VARIABLE,
    show_envvar=True,
    metavar="TOKEN",
    help="Access token of the source. Other users of this host can see command lines: prefer the environment "
    "variable or standard input.",
)
@click.option(
    "--provider-token",
    envvar=PROVIDER_TOKEN_VARIABLE,
    show_envvar=True,
    metavar="TOKEN",
    help="The provider's own token, or the administrator's: a web service requires it as consent if the provider "
    "already exists.",
)
@common_options
@click.pass_obj
def register(
    options: Options, name: str, access_token: str | None, provider_token: str | None, as_json: bool
) -> None:
    """Register a provider for the source that the access token belongs to.

    The source's token is taken from --access-token, else from the environment variable, else from standard input; on a
    terminal you are asked for it. When a provider is registered for the first time, its own access token is printed,
    only this once, as the last line; the registry keeps only a hash of it. A provider can be registered for several
    sources, one after the other.
    """
    options.require_url()
    token = (access_token or "").strip() or _read_token()
    agreeing = (provider_token or "").strip() or None
    with options.open_store() as store:
        registration = store.register_provider(name, token, provider_token=agreeing)
    show(registration, lambda: _registration_text(registration), as_json=as_json)


@provider.command("list")
@click.option(
    "--source", "source_name", metavar="SOURCE", help="Only providers that may write to this source."
)
@common_options
@click.pass_obj
def list_(options: Options, source_name: str | None, as_json: bool) -> None:
    """List providers and the sources they may write to."""
    with options.open_existing_store() as store:
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
        f"Its access token, which is shown only now, and identifies it to the web service:\n"
        f"{registration.access_token}"
    )


def may_write(provider: Provider) -> str:
    """A sentence that says where the provider may write."""
    names = ", ".join(map(repr, provider.source_names)) or "no source"
    return f"Provider {provider.name!r} may write to {names}."


def _list_text(providers: list[Provider]) -> str:
    rows = [
        (each.name, ", ".join(each.source_names), format_to_the_second(each.registered_at))
        for each in providers
    ]
    return table(("PROVIDER", "SOURCES", "REGISTERED"), rows, empty="No providers.")
