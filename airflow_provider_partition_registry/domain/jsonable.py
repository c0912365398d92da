"""Values of the domain as plain JSON data, for XComs, ``--json`` output and the wire."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Any

from airflow_provider_partition_registry.domain.intervals import format_instant


def to_jsonable(value: Any) -> Any:
    """Turn a value of the domain, however nested, into dicts, lists, text, numbers, booleans and None.

    Fields keep their names; instants become ISO 8601 text in UTC.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_jsonable(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return format_instant(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): to_jsonable(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [to_jsonable(item) for item in value]
    return value
