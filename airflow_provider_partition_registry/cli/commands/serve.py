"""``serve``: run the web service."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from tempfile import TemporaryDirectory
from typing import IO

import click

from airflow_provider_partition_registry.cli.instants import DurationType
from airflow_provider_partition_registry.cli.options import URL_VARIABLE

DEFAULT_PORT = 5498
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # prometheus-client reads it when it is imported
APP = "airflow_provider_partition_registry.server.app:create_app"
NOT_INSTALLED = (
    "The web service needs more than what is installed here: "
    "pip install 'airflow-provider-partition-registry[service]'"
)


@click.command()
@click.option(
    "--host",
    default="127.0.0.1",
    envvar="PARTITION_REGISTRY_HOST",
    show_default=True,
    show_envvar=True,
    help="Address to listen on.",
)
@click.option(
    "--port",
    default=DEFAULT_PORT,
    type=click.IntRange(0, 65535),
    envvar="PARTITION_REGISTRY_PORT",
    show_default=True,
    show_envvar=True,
    help="Port to listen on.",
)
@click.option(
    "--database-url",
    metavar="URL",
    envvar=["PARTITION_REGISTRY_DATABASE_URL", URL_VARIABLE],
    show_envvar=True,
    help="Database of the registry to serve: postgresql://... or sqlite:///...",
)
@click.option(
    "--database-url-file",
    type=click.File(),
    envvar="PARTITION_REGISTRY_DATABASE_URL_FILE",
    show_envvar=True,
    help="File that contains the database URL, such as a container secret; overrides --database-url.",
)
@click.option(
    "--standby-url",
    metavar="URL",
    envvar="PARTITION_REGISTRY_STANDBY_URL",
    show_envvar=True,
    help="Standby of the database in PostgreSQL, which answers clients that accept older answers.",
)
@click.option(
    "--standby-url-file",
    type=click.File(),
    envvar="PARTITION_REGISTRY_STANDBY_URL_FILE",
    show_envvar=True,
    help="File that contains the standby's URL, such as a container secret; overrides --standby-url.",
)
@click.option(
    "--workers",
    default=1,
    type=click.IntRange(1, 64),
    envvar="PARTITION_REGISTRY_WORKERS",
    show_default=True,
    show_envvar=True,
    help="Worker processes.",
)
@click.option(
    "--connections",
    default=8,
    type=click.IntRange(1, 1000),
    envvar="PARTITION_REGISTRY_CONNECTIONS",
    show_default=True,
    show_envvar=True,
    help="Most database connections per worker process for reading, and as many again for writing.",
)
@click.option(
    "--administrator-token",
    metavar="TOKEN",
    envvar="PARTITION_REGISTRY_ADMINISTRATOR_TOKEN",
    show_envvar=True,
    help="Whoever presents this token may do everything, and only they may register sources. Prefer the environment "
    "variable or a file.",
)
@click.option(
    "--administrator-token-file",
    type=click.File(),
    envvar="PARTITION_REGISTRY_ADMINISTRATOR_TOKEN_FILE",
    show_envvar=True,
    help="File that contains the token, such as a container secret; overrides --administrator-token.",
)
@click.option(
    "--private-reads",
    is_flag=True,
    envvar="PARTITION_REGISTRY_PRIVATE_READS",
    show_envvar=True,
    help="Require an access token for reading, too.",
)
@click.option(
    "--open",
    "is_open",
    is_flag=True,
    envvar="PARTITION_REGISTRY_OPEN",
    show_envvar=True,
    help="Accept writes without an access token, to try things out on this host.",
)
@click.option(
    "--open-to-the-network",
    is_flag=True,
    help="Confirm that with --open everybody who can reach this address may write.",
)
@click.option(
    "--wrong-tokens-per-minute",
    default=20,
    type=click.IntRange(1),
    envvar="PARTITION_REGISTRY_WRONG_TOKENS_PER_MINUTE",
    show_default=True,
    show_envvar=True,
    help="Rate limit per worker process and client address; beyond it the administrator's token is not accepted from "
    "that address.",
)
@click.option(
    "--keep-history",
    type=DurationType(),
    envvar="PARTITION_REGISTRY_KEEP_HISTORY",
    show_envvar=True,
    help="Remove older history once a day, as partition-registry db prune does: 400d, for example. By default nothing "
    "is removed.",
)
@click.option(
    "--trusted-proxies",
    default="127.0.0.1",
    metavar="ADDRESSES",
    envvar="PARTITION_REGISTRY_TRUSTED_PROXIES",
    show_default=True,
    show_envvar=True,
    help="Proxies whose X-Forwarded-For and X-Forwarded-Proto headers are trusted.",
)
def serve(
    host: str,
    port: int,
    database_url: str | None,
    database_url_file: IO[str] | None,
    standby_url: str | None,
    standby_url_file: IO[str] | None,
    workers: int,
    connections: int,
    administrator_token: str | None,
    administrator_token_file: IO[str] | None,
    private_reads: bool,
    is_open: bool,
    open_to_the_network: bool,
    wrong_tokens_per_minute: int,
    keep_history: timedelta | None,
    trusted_proxies: str,
) -> None:
    """Serve the registry over HTTP."""
    served_url = _given(database_url, database_url_file)
    if not served_url:
        raise click.UsageError("No database given. Pass --database-url or --database-url-file")
    try:
        from airflow_provider_partition_registry.server.processes.running import run
        from airflow_provider_partition_registry.server.processes.sockets import raise_descriptor_limit
        from airflow_provider_partition_registry.server.settings import ServiceSettings, is_this_host
    except ImportError as error:
        raise click.UsageError(f"{NOT_INSTALLED} ({error})") from error
    settings = ServiceSettings(
        database_url=served_url,
        standby_url=_given(standby_url, standby_url_file),
        administrator_token=_given(administrator_token, administrator_token_file),
        is_open=is_open,
        is_open_to_the_network=open_to_the_network,
        has_private_reads=private_reads,
        connections=connections,
        wrong_tokens_per_minute=wrong_tokens_per_minute,
        keep_history=keep_history,
    )
    if settings.is_for_this_host_alone and not is_this_host(host):
        raise click.UsageError(
            f"--open lets everybody write who can reach {host}. Omit it, listen on 127.0.0.1, or add "
            f"--open-to-the-network."
        )
    sockets = _listen(host, port)
    raise_descriptor_limit()
    os.environ |= settings.as_environment()
    with _metrics_of_all(workers):
        sys.exit(run(APP, sockets, workers=workers, trusted_proxies=trusted_proxies))


def _listen(host: str, port: int) -> list[socket.socket]:
    """Listen before anything is started, or say in a sentence why that is impossible."""
    from airflow_provider_partition_registry.server.processes.sockets import listen

    try:
        return listen(host, port)
    except OSError as error:
        advice = " Is it running already?" if error.errno == errno.EADDRINUSE else ""
        raise click.UsageError(f"Cannot listen on {host}, port {port}: {error.strerror}.{advice}") from error


@contextmanager
def _metrics_of_all(workers: int) -> Iterator[None]:
    """Let several worker processes write their metrics into a folder where each of them can add them up."""
    if workers == 1:
        yield
        return
    with TemporaryDirectory(prefix="partition-registry-metrics-") as folder:
        os.environ[METRICS_FOLDER] = folder
        yield


def _given(secret: str | None, file: IO[str] | None) -> str | None:
    """The secret from the file if there is one, otherwise the secret itself; an empty secret counts as none."""
    return (file.read().strip() if file else secret) or None
