"""Finding a place in the history: after a position that may be gone, or before a moment."""

from __future__ import annotations

from datetime import datetime

from airflow_provider_partition_registry.domain.errors import (
    InvalidInputError,
    LostPositionError,
    PrunedPositionError,
)
from airflow_provider_partition_registry.domain.models import Event
from airflow_provider_partition_registry.store.contract import RegistryReader


def position_before(store: RegistryReader, source_name: str | None, instant: datetime) -> int:
    """A position after which all events are at or after an instant, found with a few probes.

    Events whose positions are in a different order from their times may be left out.
    """

    def is_late_enough(position: int) -> bool:
        first = first_after(store, source_name, position)
        return first is None or first.at >= instant

    if is_late_enough(0):
        return 0
    low, high = 0, 1  # is_late_enough(low) is false
    while not is_late_enough(high):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_late_enough(middle) else (middle, high)
    return high


def first_after(store: RegistryReader, source_name: str | None, position: int) -> Event | None:
    """The first event after a position, which may be in a part of the history that is there no more."""
    try:
        page = store.events(position, source_name, 1)
    except InvalidInputError:  # The history does not reach this position.
        return None
    except LostPositionError as error:
        return first_after(store, source_name, error.last_before)
    except PrunedPositionError as error:
        return first_after(store, source_name, error.pruned_to)
    return page.items[0] if page.items else None
