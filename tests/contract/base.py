"""What all parts of the contract's tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

from airflow_provider_partition_registry.domain.errors import RegistryError
from airflow_provider_partition_registry.domain.models import Event, Page
from airflow_provider_partition_registry.store.contract import RegistryStore
from tests.contract.homes import Home, ManualClock, all_events


class ContractBase:
    """Source ``s`` has the providers ``p`` and ``q``; the source ``other`` and its ``r`` stand apart.

    Each store of the contract provides the fixture ``home``: a new, empty registry.
    """

    @pytest.fixture
    def empty_store(self, home: Home) -> RegistryStore:
        return home.store

    @pytest.fixture
    def clock(self, home: Home) -> ManualClock:
        return home.clock

    @pytest.fixture
    def token(self, home: Home) -> str:
        """The access token of ``s``."""
        return home.store.register_source("s", "team-s").access_token

    @pytest.fixture
    def store(self, home: Home, token: str) -> RegistryStore:
        store = home.store
        store.register_provider("p", token)
        store.register_provider("q", token)
        store.register_provider("r", store.register_source("other", "team-other").access_token)
        return store


E = TypeVar("E", bound=RegistryError)


@contextmanager
def refused(store: RegistryStore, error: type[E]) -> Iterator[pytest.ExceptionInfo[E]]:
    """Expect exactly this error, and that nothing changed."""
    before = all_events(store)
    with pytest.raises(error) as caught:
        yield caught
    assert type(caught.value) is error
    assert all_events(store) == before


def newest(store: RegistryStore) -> Event:
    return all_events(store)[-1]


def walk(turn: Callable[[Any], Page[Any]], what: str = "name") -> list[list[Any]]:
    """All pages of a list, as lists of one attribute."""
    pages, after = [], None
    while True:
        page = turn(after)
        pages.append([getattr(each, what) for each in page.items])
        if page.next is None:
            return pages
        after = page.next
