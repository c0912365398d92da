"""Delivering what a :class:`~..triggers.partition_events.PartitionEventTrigger` tells, exactly once (Airflow 3.3).

Airflow stores a trigger's event as an event of the asset, and tells listeners of it before it commits. In that same
transaction the place that was reached is stored as well, so that either both are there or none. And Airflow's watchers
cannot give an asset event a partition key, so an event that has one is added here.
"""

from __future__ import annotations

import json
import logging
from typing import Any

_log = logging.getLogger(__name__)


def deliver(asset_event: Any) -> None:
    """Store what was reached, and start what is scheduled by the partition.

    :param asset_event: as Airflow tells listeners of it.
    """
    extra = asset_event.extra or {}
    # Neither a task nor a person, who can give an event any extra, may move the place that was reached.
    is_of_trigger = (
        extra.get("from_trigger") and not extra.get("from_rest_api") and not asset_event.source_dag_id
    )
    payload = extra.get("payload") if is_of_trigger else None
    if isinstance(payload, dict) and str(payload.get("subscription", "")).startswith("partition_registry/"):
        _deliver(asset_event.asset, payload)


def _deliver(asset: Any, payload: dict[str, Any]) -> None:
    from airflow import settings
    from airflow.assets.manager import AssetManager

    current_session: Any = settings.Session
    session = current_session()
    # What fails in here must not spoil Airflow's own transaction.
    with session.begin_nested():
        if _move_cursor(session, asset, payload["subscription"], payload["cursor"]):
            key = payload.get("partition_key")
            if key is not None:
                told = {name: value for name, value in payload.items() if name != "subscription"}
                AssetManager.register_asset_change(
                    asset=asset, extra=told, partition_key=key, session=session
                )


def _move_cursor(session: Any, asset: Any, subscription: str, cursor: str) -> bool:
    """Store the place that is reached; return whether it is further on than what another triggerer has delivered."""
    from airflow._shared.state import AssetScope
    from airflow.models.asset import AssetModel
    from airflow.models.asset_state_store import AssetStateStoreModel
    from airflow.state import get_state_backend

    from airflow_provider_partition_registry.domain.grain_cursor import GrainCursor

    reached = GrainCursor.of(cursor)
    asset_id = session.query(AssetModel.id).filter_by(name=asset.name, uri=asset.uri).scalar()
    if asset_id is None:
        return False
    # Two triggerers that run the same trigger take turns here.
    cursors = session.query(AssetStateStoreModel.key).filter_by(asset_id=asset_id, key=subscription)
    cursors.with_for_update().all()
    backend, scope = get_state_backend(), AssetScope(asset_id=asset_id)
    stored = backend.get(scope, subscription, session=session)
    if stored is not None and GrainCursor.of(json.loads(stored)) >= reached:
        _log.warning(
            "The event of %s at %s was delivered before; it starts nothing again.", asset.name, cursor
        )
        return False
    backend.set(scope, subscription, json.dumps(cursor), session=session)
    return True
