"""The listener that delivers what a watcher's trigger tells, in Airflow's own database (Airflow 3.3)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_partition_registry.runtime.compat import HAS_ASSET_STATE

pytestmark = [
    pytest.mark.skipif(not HAS_ASSET_STATE, reason="Airflow has a state store of assets since 3.3"),
    pytest.mark.usefixtures("airflow_home"),
]

SUBSCRIPTION = "partition_registry/0123456789abcdef"


class Asset:
    """An asset in Airflow's database, and what became of its events."""

    def __init__(self, session: Any, name: str) -> None:
        from airflow.models.asset import AssetActive, AssetModel

        self.session = session
        self.model = AssetModel(name=name, uri=f"x-{name}:/", group="asset", extra={})
        session.add(self.model)
        session.add(AssetActive(name=name, uri=self.model.uri))
        session.commit()

    def tell(self, cursor: str, **extra: Any) -> None:
        """Store an event as Airflow does when a trigger yields one."""
        from airflow.assets.manager import AssetManager

        payload = {
            "subscription": SUBSCRIPTION,
            "cursor": cursor,
            "partition_key": "2026-11-01",
            "version": 7,
        }
        AssetManager.register_asset_change(
            asset=self.model.to_serialized(),
            extra={"from_trigger": True, "payload": payload} | extra,
            session=self.session,
        )
        self.session.commit()

    def keys(self) -> list[str | None]:
        """The partition keys of its events, in order."""
        from airflow.models.asset import AssetEvent

        events = self.session.query(AssetEvent).filter_by(asset_id=self.model.id).order_by(AssetEvent.id)
        return [event.partition_key for event in events]

    def cursor(self) -> Any:
        """The place that is stored."""
        from airflow.models.asset_state_store import AssetStateStoreModel

        of_asset = {"asset_id": self.model.id, "key": SUBSCRIPTION}
        value = self.session.query(AssetStateStoreModel.value).filter_by(**of_asset).scalar()
        return None if value is None else json.loads(value)


@pytest.fixture
def asset(request: pytest.FixtureRequest) -> Iterator[Asset]:
    from airflow import settings
    from airflow.listeners.listener import get_listener_manager

    from airflow_provider_partition_registry.plugins.partition_registry import RegistryListener

    listeners = get_listener_manager()
    is_there = any(isinstance(each, RegistryListener) for each in listeners.pm.get_plugins())
    listener = RegistryListener()
    if not is_there:
        listeners.add_listener(listener)
    session = settings.Session()
    yield Asset(session, request.node.name[:100])
    session.rollback()
    if not is_there:
        listeners.pm.unregister(listener)


def test_an_event_gets_its_key_and_moves_the_place(asset: Asset) -> None:
    asset.tell("7@2026-11-02T00:00:00Z")
    assert asset.keys() == [None, "2026-11-01"]
    assert asset.cursor() == "7@2026-11-02T00:00:00Z"
    asset.tell("7")
    assert asset.keys() == [None, "2026-11-01"] * 2
    assert asset.cursor() == "7"


@pytest.mark.parametrize("again", ["7", "7@2026-11-02T00:00:00Z", "3"])
def test_what_was_delivered_starts_nothing_again(asset: Asset, again: str) -> None:
    asset.tell("7")
    asset.tell(again)
    assert asset.keys() == [None, "2026-11-01", None]
    assert asset.cursor() == "7"


@pytest.mark.parametrize(
    "extra",
    [
        {"from_trigger": False},
        {"from_rest_api": True},
        {"payload": "text"},
        {"payload": {"cursor": "9"}},
        {"payload": {"subscription": "other", "cursor": "9"}},
    ],
)
def test_other_events_are_left_alone(asset: Asset, extra: dict[str, Any]) -> None:
    asset.tell("9", **extra)
    assert asset.keys() == [None]
    assert asset.cursor() is None


def test_what_cannot_be_delivered_spoils_nothing(asset: Asset) -> None:
    asset.tell("no cursor")
    assert asset.keys() == [None]
    assert asset.cursor() is None
    asset.tell("8")
    assert asset.keys() == [None, None, "2026-11-01"]
