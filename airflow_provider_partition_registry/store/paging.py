"""Reading lists that are longer than a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from airflow_provider_partition_registry.domain.models import Page

T = TypeVar("T")

PAGE_SIZE = 1000


def all_items(list_page: Callable[..., Page[T]], size: int = PAGE_SIZE) -> Iterator[T]:
    """Every item of a store's listing method, fetched page by page as the items are taken.

    :param list_page: a method such as ``store.list_sources``, with any further arguments bound by
        ``functools.partial``; it is called with ``after`` and ``limit``.
    :param size: of a page.
    """
    after: str | int | None = None
    while True:
        page = list_page(after=after, limit=size)
        yield from page.items
        if page.next is None:
            return
        after = page.next
