"""Bringing whole days (hours, ...) to an asset of an Airflow instance, by its REST API."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from airflow_provider_partition_registry.cli.following import LONGEST_BACK_OFF
from airflow_provider_partition_registry.cli.options import CA_FILE_VARIABLE
from airflow_provider_partition_registry.cli.output import tell
from airflow_provider_partition_registry.domain.errors import StoreUnavailableError
from airflow_provider_partition_registry.domain.grain_cursor import GrainCursor
from airflow_provider_partition_registry.domain.models import GrainEvent
from airflow_provider_partition_registry.store.listening import back_off

if TYPE_CHECKING:
    from airflow_provider_partition_registry.store.http.airflow_assets import AirflowAssets

Function = TypeVar("Function", bound=Callable[..., Any])

AIRFLOW_URL_VARIABLE = "PARTITION_REGISTRY_AIRFLOW_URL"
AIRFLOW_TOKEN_VARIABLE = "PARTITION_REGISTRY_AIRFLOW_TOKEN"  # noqa: S105 - the name of a variable
AIRFLOW_USER_VARIABLE = "PARTITION_REGISTRY_AIRFLOW_USER"
AIRFLOW_PASSWORD_VARIABLE = "PARTITION_REGISTRY_AIRFLOW_PASSWORD"  # noqa: S105 - the name of a variable

LOOKED_BACK = 10_000  # events of an asset, of which one may tell where an earlier push was


class Destination:
    """An asset of an Airflow instance, which holds by its own events what has been brought to it.

    :param subscription: what is brought; several of them may be brought to one asset.
    """

    def __init__(self, assets: AirflowAssets, asset_name: str, subscription: str) -> None:
        self._assets = assets
        self._id = assets.id_of(asset_name)
        self._subscription = subscription

    def reached(self) -> GrainCursor | None:
        """Where an earlier push was, as the asset's newest events tell; None if they do not."""
        for place, event in enumerate(self._assets.newest_events(self._id)):
            extra = event.get("extra") or {}
            if extra.get("subscription") == self._subscription:
                return GrainCursor.of(extra["cursor"])
            if place == LOOKED_BACK:
                break
        return None

    def bring(self, grain: GrainEvent, partition_key: str) -> None:
        """Create an event of the asset, once, whatever becomes of the answers."""
        from airflow_provider_partition_registry.domain.grain_keys import told_of_grain

        extra = told_of_grain(grain) | {"subscription": self._subscription}
        failures = 0
        while True:
            try:
                if not failures or not self._has(grain):
                    self._assets.create_event(self._id, partition_key, extra)
                return
            except StoreUnavailableError as error:
                if not failures:
                    tell(f"{error} Trying again.")
                failures += 1
                time.sleep(min(back_off(failures), LONGEST_BACK_OFF))

    def _has(self, grain: GrainEvent) -> bool:
        """Whether an event was created although no answer said so."""
        reached = self.reached()
        return reached is not None and reached >= GrainCursor.of(grain.cursor)


def subscription_of(source_name: str, grain: str, timezone: str) -> str:
    """A name for what is brought, for the asset's events to tell."""
    from airflow_provider_partition_registry.domain.grain_keys import digest_of

    return f"partition_registry_push/{digest_of([source_name, grain, timezone])}"


def airflow_options(function: Function) -> Function:
    """Add ``--airflow-url`` and ``--asset``."""
    command = click.option(
        "--asset",
        "asset_name",
        required=True,
        metavar="NAME",
        help="The name of the asset in that Airflow.",
    )(function)
    return click.option(
        "--airflow-url",
        envvar=AIRFLOW_URL_VARIABLE,
        show_envvar=True,
        required=True,
        metavar="URL",
        help=f"Where people reach that Airflow (3.2 or later). Log in with a token in {AIRFLOW_TOKEN_VARIABLE}, or "
        f"as {AIRFLOW_USER_VARIABLE} with {AIRFLOW_PASSWORD_VARIABLE}.",
    )(command)


@contextmanager
def open_destination(airflow_url: str, asset_name: str, subscription: str) -> Iterator[Destination]:
    """Log in, and find the asset."""
    from airflow_provider_partition_registry.store.http.airflow_assets import AirflowAssets, Login

    variables = (AIRFLOW_TOKEN_VARIABLE, AIRFLOW_USER_VARIABLE, AIRFLOW_PASSWORD_VARIABLE)
    login = Login(*(os.environ.get(each) or None for each in variables))
    verify = os.environ.get(CA_FILE_VARIABLE) or True
    with closing(AirflowAssets(airflow_url, login, verify=verify)) as assets:
        yield Destination(assets, asset_name, subscription)
