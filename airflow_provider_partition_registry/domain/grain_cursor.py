"""Where somebody is who follows grains: after an event, or among the grains that one event made ready."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from airflow_provider_partition_registry.domain.intervals import (
    EARLIEST,
    LATEST,
    format_instant,
    to_instant,
)
from airflow_provider_partition_registry.domain.invalid_input import InvalidInputError
from airflow_provider_partition_registry.domain.names import check_number


@dataclass(frozen=True, slots=True, order=True)
class GrainCursor:
    """Written as ``12``: after the event at position 12; or ``12@2026-11-02T00:00:00Z``: within it.

    Of two cursors of one follower, the greater one is further on.

    :param up_to: the end of the last grain of that event that was told; the last instant if all were.
    """

    position: int
    up_to: datetime = LATEST

    def __str__(self) -> str:
        return str(self.position) if self.up_to == LATEST else f"{self.position}@{format_instant(self.up_to)}"

    @classmethod
    def of(cls, value: int | str) -> GrainCursor:
        """Read a cursor, or a position.

        :raises InvalidInputError: it is neither.
        """
        if not isinstance(value, str):
            return cls(check_number("position", value))
        position, within, up_to = value.partition("@")
        try:
            if not (position.isascii() and position.isdecimal()):  # int() reads much more
                raise ValueError
            return cls(check_number("position", int(position)), to_instant(up_to) if within else LATEST)
        except ValueError:
            raise InvalidInputError(
                f"{value[:60]!r} is no place in the history: give a position, or the cursor of a grain, such as "
                f"12@2026-11-02T00:00:00Z."
            ) from None

    @property
    def last_whole(self) -> int:
        """The position up to which everything was told."""
        return self.position if self.up_to == LATEST else self.position - 1

    def begins_in(self, position: int) -> datetime:
        """Of the event at a position after :attr:`last_whole`: where the grains begin that were not told."""
        return self.up_to if position == self.position else EARLIEST
