"""The part of the contract that tells of changes. Like the rest of it, see :mod:`~..store.contract`."""

from __future__ import annotations

from abc import ABC, abstractmethod


class Listener(ABC):
    """Hears that something changed. A hint to look again, never the truth: news may be lost or be late."""

    @abstractmethod
    def wait(self, timeout: float) -> frozenset[str]:
        """Block until there is news, at most ``timeout`` seconds.

        :return: the names of the sources with news; empty when there were none in time.
        """

    @abstractmethod
    def close(self) -> None:
        """Stop listening."""
