"""The demo's registry: its sources, who writes to them, and each Airflow's connection to it."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.domain.principals import ProviderRegistration
from airflow_provider_partition_registry.store.contract import RegistryStore
from demo.homes import Home

CONNECTION_VARIABLE = "AIRFLOW_CONN_PARTITION_REGISTRY_DEFAULT"
OWNER = "shop-team@example.com"
WARM_UP_DAY = Interval("2026-01-01", "2026-01-02")


@dataclass(frozen=True)
class Registry:
    """An open registry with the demo's sources and providers in it.

    :param source: the source that the acts are about
    :param warm_up_source: one with a day that is ready from the beginning
    :param connections: for each side its Airflow connection to this registry, as a provider of its own
    :param clock_is_ahead: by how many seconds its clock is ahead of ours
    """

    store: RegistryStore
    place: str
    source: str
    warm_up_source: str
    connections: Mapping[str, Mapping[str, object]]
    clock_is_ahead: float

    def connection(self, side: str) -> dict[str, str]:
        """The environment variable by which an Airflow finds this registry and identifies itself."""
        return {CONNECTION_VARIABLE: json.dumps(self.connections[side])}


def furnish(home: Home, run: str, sides: Sequence[str]) -> Registry:
    """Register sources and providers: one provider for each Airflow.

    :param run: distinguishes this run's names in a shared registry from those of other runs
    :param sides: the names of the Airflow instances in the registry
    """
    store, suffix = home.store, f".{run}" if home.is_shared else ""
    source, warm_up_source = f"shop.orders{suffix}", f"shop.warm-up{suffix}"
    providers = {side: f"loader-on-{side}{suffix}" for side in sides}
    tokens = [store.register_source(name, OWNER).access_token for name in (source, warm_up_source)]
    connections = {}
    for side, provider in providers.items():
        # The first source's owner registers the provider, which gets its token; the second source only adds a grant.
        registration, _ = [store.register_provider(provider, token) for token in tokens]
        connections[side] = _connection(home, side, registration)
    return Registry(
        store=store,
        place=home.place,
        source=source,
        warm_up_source=warm_up_source,
        connections=connections,
        clock_is_ahead=_publish(store, warm_up_source, providers[sides[0]]),
    )


def _connection(home: Home, side: str, registration: ProviderRegistration) -> Mapping[str, object]:
    extra = {"instance": side, "provider": registration.provider.name}
    token = {"password": registration.access_token} if home.takes_tokens else {}
    return {**home.address, **token, "extra": extra}


def _publish(store: RegistryStore, source: str, provider: str) -> float:
    """Make the warm-up day ready; returns by how many seconds the registry's clock is ahead of ours."""
    store.register_partition(PartitionKey(source, provider, WARM_UP_DAY))
    before = datetime.datetime.now(datetime.UTC)
    store.unlock(PartitionKey(source, provider, WARM_UP_DAY))
    after = datetime.datetime.now(datetime.UTC)
    return _distance(
        store.get_partition(PartitionKey(source, provider, WARM_UP_DAY)).changed_at, before, after
    )


def _distance(instant: datetime.datetime, start: datetime.datetime, end: datetime.datetime) -> float:
    """Seconds by which the instant is after ``end``, or, negative, before ``start``."""
    return max((instant - end).total_seconds(), 0.0) or min((instant - start).total_seconds(), 0.0)
