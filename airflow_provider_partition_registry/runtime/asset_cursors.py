"""Where a follower of the history is: a cursor in the state store of the assets that it watches for (Airflow 3.3)."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from airflow_provider_partition_registry.domain.grain_cursor import GrainCursor

log = logging.getLogger(__name__)

LOOK_INTERVAL = 0.5  # seconds between two looks whether events were delivered
LATE = 60.0  # seconds after which it is logged that they were not


class AssetCursors:
    """The cursors of one subscription, one for each asset that is watched.

    :param state_store: what Airflow gives the trigger; None before Airflow 3.3, which has nothing to keep a cursor in.
    :param subscription: the key of the cursor.
    """

    def __init__(self, state_store: Any, subscription: str) -> None:
        self._of_assets = _accessors(state_store)
        self._key = subscription

    async def read(self) -> GrainCursor | None:
        """The place from which on something was not delivered to one of the assets; None if there is none yet."""
        stored = [await each.aget(self._key) for each in self._of_assets]
        known = [GrainCursor.of(each) for each in stored if each is not None]
        return min(known, default=None)

    async def write(self, cursor: GrainCursor) -> None:
        """Store where to begin. Afterwards only the listener moves it on, in the transaction that stores the event."""
        for each in self._of_assets:
            await each.aset(self._key, str(cursor))

    async def wait_until_delivered(self, cursor: GrainCursor) -> None:
        """Wait until Airflow has stored everything up to a place, so that no more than a portion is ever in flight."""
        is_late_at = time.monotonic() + LATE
        while self._of_assets and not await self._is_delivered(cursor):
            if time.monotonic() > is_late_at:
                log.warning("Airflow has not stored the events up to %s yet. Waiting.", cursor)
                is_late_at += LATE
            await asyncio.sleep(LOOK_INTERVAL)

    async def _is_delivered(self, cursor: GrainCursor) -> bool:
        reached = await self.read()
        return reached is not None and reached >= cursor


def _accessors(state_store: Any) -> list[Any]:
    """One accessor for each asset. The store itself answers only for one."""
    if state_store is None:
        return []
    return [*state_store._by_name.values(), *state_store._by_uri.values()]
