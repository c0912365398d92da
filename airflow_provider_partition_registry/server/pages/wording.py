"""How pages write instants, lengths of time, and addresses that somebody else gave."""

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
    """Date and time, in UTC as everything on the pages; seconds only where they say something."""
    text = value.strftime("%H:%M:%S" if value.second else "%H:%M")
    exact = format_instant(value)
    return Markup('<time datetime="{}" title="{}">{} {}</time>').format(
        exact, exact, value.date().isoformat(), text
    )


def for_input(value: datetime) -> str:
    """As the value of a field for date and time."""
    return value.replace(tzinfo=None).isoformat(timespec="seconds")


def duration(length: timedelta) -> str:
    """A length of time as people say it: ``3 h 20 min``, ``12 min``."""
    for (unit, name), (smaller, its_name) in pairwise(_UNITS):
        if length >= unit:
            more = (length % unit) // smaller if unit > _MINUTE else 0
            return f"{length // unit} {name}" + (f" {more} {its_name}" if more else "")
    return f"{max(length, timedelta(0)) // timedelta(seconds=1)} s"


def relative(value: datetime, now: datetime) -> str:
    """How long ago it was, or will be."""
    return f"{duration(now - value)} ago" if value <= now else f"in {duration(value - now)}"


def log_address(text: str | None) -> str | None:
    """The address of a log, if a link may lead there: holders can give any text, also ``javascript:``."""
    try:
        parts = urlsplit(text or "")
    except ValueError:
        return None
    return text if parts.scheme in ("http", "https") and parts.netloc else None


def linked(text: str) -> Markup:
    """Text with its web addresses as links; everything else in it is shown as it is."""
    parts = _ADDRESS.split(text)
    link = Markup('<a href="{0}" rel="noreferrer noopener" target="_blank">{0}</a>')
    return Markup().join(link.format(part) if log_address(part) else escape(part) for part in parts)


def now() -> datetime:
    """The present, for lengths of time on pages."""
    return datetime.now(UTC)
