"""Telling whoever misspelt the name of a source or a provider which one may have been meant."""

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
"""How many names are compared at most; more would keep somebody waiting who only mistyped."""


@contextmanager
def suggesting(reader: RegistryReader) -> Iterator[None]:
    """Let an error about an unknown source or provider name those that are spelt alike, if there are any.

    :param reader: is asked for the names, and only then.
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
    except RegistryError:  # who may not read, or a store that is down; the first error says enough
        return error
    alike = difflib.get_close_matches(name, names)
    return error.continued(f"Did you mean {' or '.join(map(repr, alike))}?") if alike else error
