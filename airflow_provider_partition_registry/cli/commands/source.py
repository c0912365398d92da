"""Work on sources: ``source register``, ``source set-uri`` and ``source list``."""

from __future__ import annotations

import click

from airflow_provider_partition_registry.cli.options import Options, common_options
from airflow_provider_partition_registry.cli.output import show, table
from airflow_provider_partition_registry.domain.intervals import format_to_the_second
from airflow_provider_partition_registry.domain.principals import Source, SourceRegistration
from airflow_provider_partition_registry.store.paging import all_items


@click.group(no_args_is_help=False)
def source() -> None:
    """Register and list sources, the places where data is stored."""


@source.command()
@click.argument("name")
@click.option("--owner", metavar="OWNER", required=True, help="Who is responsible for the source.")
@click.option(
    "--uri", metavar="URI", help="The real address of its data, for lineage: s3://bucket/sales, for example."
)
@common_options
@click.pass_obj
def register(options: Options, name: str, *, owner: str, uri: str | None, as_json: bool) -> None:
    """Register a source and print its access token.

    The token is printed only this once, as the last line; the registry keeps only a hash of it. It is needed to
    register providers for the source.
    """
    with options.open_store() as store:
        registration = store.register_source(name, owner, uri=uri)
    show(registration, lambda: _registration_text(registration), as_json=as_json)


@source.command("set-uri")
@click.argument("name")
@click.argument("uri", required=False)
@click.option("--unknown", is_flag=True, help="Remove the address, in place of a URI.")
@common_options
@click.pass_obj
def set_uri(options: Options, name: str, uri: str | None, *, unknown: bool, as_json: bool) -> None:
    """Change the real address of a source's data.

    Lineage (OpenLineage) knows the data under this address, whoever writes or reads it. The registry itself does
    nothing with it.
    """
    if (uri is None) is not unknown:
        raise click.UsageError("Give either the URI of the data, or --unknown.")
    with options.open_existing_store() as store:
        changed = store.set_source_uri(name, uri)
    show(changed, lambda: _uri_text(changed), as_json=as_json)


@source.command("list")
@common_options
@click.pass_obj
def list_(options: Options, as_json: bool) -> None:
    """List all sources."""
    with options.open_existing_store() as store:
        sources = list(all_items(store.list_sources))
    show(sources, lambda: _list_text(sources), as_json=as_json)


def _registration_text(registration: SourceRegistration) -> str:
    registered = registration.source
    return (
        f"Source {registered.name!r} is registered; its owner is {registered.owner}.\n"
        f"Its access token, which is shown only now, and is needed to register a provider:\n"
        f"{registration.access_token}"
    )


def _uri_text(changed: Source) -> str:
    if changed.uri is None:
        return f"It is not known where the data of source {changed.name!r} is."
    return f"The data of source {changed.name!r} is at {changed.uri}."


def _list_text(sources: list[Source]) -> str:
    rows = [(each.name, each.owner, format_to_the_second(each.registered_at), each.uri) for each in sources]
    return table(("SOURCE", "OWNER", "REGISTERED", "URI"), rows, empty="No sources.")
