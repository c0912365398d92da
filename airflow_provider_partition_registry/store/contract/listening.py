"""The part of the contract for subscribers to changes. Like the rest of it, see :mod:`~..store.contract`."""

from __future__ import annotations

from abc import ABC, abstractmethod


class Listener(ABC):
    """Receives notifications of changes. They are hints to look again and may be lost or late."""

    hears_everybody = True
    """Whether it is notified of every change, whoever makes it."""

    @abstractmethod
    def wait(self, timeout: float) -> frozenset[str] | None:
        """Block until there are notifications, at most ``timeout`` seconds.

        :return: the names of the sources that changed in a way that may end a wait; an empty set means that some did,
            and that it is not known which. None if there were none, which may be known before the time is over.
        """

    @abstractmethod
    def close(self) -> None:
        """Stop listening."""
