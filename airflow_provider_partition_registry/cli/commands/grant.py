"""Grants (R10): ``grant revoke``. Registering a provider gives them."""

from __future__ import annotations

import click

from airflow_provider_partition_registry.cli.commands.provider import may_write
from airflow_provider_partition_registry.cli.options import Options, common_options, decision_options
from airflow_provider_partition_registry.cli.output import show


@click.group(no_args_is_help=False)
def grant() -> None:
    """Revoke a provider's right to write to a source."""


@grant.command()
@click.argument("source_name", metavar="SOURCE")
@click.argument("provider_name", metavar="PROVIDER")
@decision_options
@common_options
@click.pass_obj
def revoke(
    options: Options, source_name: str, provider_name: str, *, reason: str, by: str, as_json: bool
) -> None:
    """Revoke the right that "provider register" gives.

    Locks that the provider holds keep blocking readers, and what it has published stays ready. Registering it again
    restores the right.
    """
    with options.open_store() as store:
        provider = store.revoke_grant(source_name, provider_name, reason=reason, by=by)
    show(
        provider,
        lambda: (
            f"Provider {provider.name!r} may not write to {source_name!r} any more.\n{may_write(provider)}"
        ),
        as_json=as_json,
    )
