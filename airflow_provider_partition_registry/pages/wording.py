"""How pages write instants, lengths of time, and addresses that users gave."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from urllib.parse import urlsplit

from markupsafe import Markup, escape

from airflow_provider_partition_registry.domain.intervals import format_instant

_ADDRESS = re.compile(r"(https?://[^\s<>()]+)")
_MINUTE = timedelta(minutes=1)
_UNITS = (
    (timedelta(days=365), "y"),
    (timedelta(days=1), "d"),
    (timedelta(hours=1), "h"),
    (_MINUTE, "min"),
    (timedelta(seconds=1), "s"),
)


def instant(value: datetime) -> Markup:
    """Date and time in UTC, like everything on the pages; seconds only if they are not zero."""
    text = value.strftime("%H:%M:%S" if value.second else "%H:%M")
    exact = format_instant(value)
    return Markup('<time datetime="{}" title="{}">{} {}</time>').format(
        exact, exact, value.date().isoformat(), text
    )


def for_input(value: datetime) -> str:
    """The value of an input field for date and time."""
    return value.replace(tzinfo=None).isoformat(timespec="seconds")


def duration(length: timedelta) -> str:
    """A length of time in everyday words: ``3 h 20 min``, ``12 min``."""
    for (unit, name), (smaller, its_name) in pairwise(_UNITS):
        if length >= unit:
            more = (length % unit) // smaller if unit > _MINUTE else 0
            return f"{length // unit} {name}" + (f" {more} {its_name}" if more else "")
    return f"{max(length, timedelta(0)) // timedelta(seconds=1)} s"


def relative(value: datetime, now: datetime) -> str:
    """How long ago an instant was, or how long until it comes."""
    return f"{duration(now - value)} ago" if value <= now else f"in {duration(value - now)}"


def log_address(text: str | None) -> str | None:
    """The address of a log if it is safe to link to: holders can give any text, even ``javascript:``."""
    try:
        parts = urlsplit(text or "")
    except ValueError:
        return None
    return text if parts.scheme in ("http", "https") and parts.netloc else None


def linked(text: str) -> Markup:
    """Text with its web addresses as links; everything else is escaped."""
    parts = _ADDRESS.split(text)
    link = Markup('<a href="{0}" rel="noreferrer noopener" target="_blank">{0}</a>')
    return Markup().join(link.format(part) if log_address(part) else escape(part) for part in parts)


def now() -> datetime:
    """The present, against which pages compute lengths of time."""
    return datetime.now(UTC)
