"""Suggesting what may have been meant by a misspelt name of a source or a provider."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from airflow_provider_partition_registry.domain.errors import (
    RegistryError,
    UnknownError,
    UnknownProviderError,
    UnknownSourceError,
)
from airflow_provider_partition_registry.store.contract import RegistryReader
from airflow_provider_partition_registry.store.paging import all_items

LOOKED_AT = 5_000
"""How many names are compared at most; more would take longer than a typing mistake is worth."""


@contextmanager
def suggesting(reader: RegistryReader) -> Iterator[None]:
    """Add similar names, if there are any, to an error about an unknown source or provider.

    :param reader: asked for the names, only if there is such an error.
    """
    try:
        yield
    except UnknownSourceError as error:
        raise _with_suggestion(error, error.source_name, reader.list_sources) from error
    except UnknownProviderError as error:
        raise _with_suggestion(error, error.provider_name, reader.list_providers) from error


def _with_suggestion(error: UnknownError, name: str, list_page: Callable[..., Any]) -> UnknownError:
    try:
        names = [each.name for each in islice(all_items(list_page), LOOKED_AT)]
    except RegistryError:  # The caller may not list names, or the store is down; the first error says enough.
        return error
    alike = difflib.get_close_matches(name, names)
    return error.continued(f"Did you mean {' or '.join(map(repr, alike))}?") if alike else error
