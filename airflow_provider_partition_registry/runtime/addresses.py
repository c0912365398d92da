"""Where this Airflow shows its registries: the addresses of its pages, for links and logs."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote, urlencode, urlsplit

from airflow_provider_partition_registry.domain.intervals import Interval, format_instant
from airflow_provider_partition_registry.runtime.compat import AIRFLOW_VERSION, conf

PAGES = "/partition-registry"
"""Where the pages are, below the address of Airflow."""
ROUTE = "partition-registry"
"""Their place in Airflow 3's navigation."""

HAS_PAGES = AIRFLOW_VERSION != (3, 0)
# In 3.1 and 3.2 an address of Airflow's own can only lead to the first one of a plugin's pages.
HAS_NAVIGATION_AROUND_EACH = AIRFLOW_VERSION >= (3, 3)


def timeline_path(conn_id: str, source_name: str, interval: Interval) -> str:
    """The path of the page that shows an interval of a source, with what is around it.

    :param conn_id: the connection of the registry.
    """
    margin = (interval.end - interval.start) / 2
    asked = {
        "name": source_name,
        "start": format_instant(interval.start),
        "end": format_instant(interval.end),
    }
    shown = {"from": _earlier(interval, margin), "to": _later(interval, margin)}
    page = f"{home()}/{quote(conn_id, safe='')}/source?{urlencode(asked)}#{urlencode(shown)}"
    return f"{_root()}/plugin/{ROUTE}{page}" if HAS_NAVIGATION_AROUND_EACH else page


def in_words(path: str) -> str:
    """The line of a log about a timeline's path; empty if nobody configured the address of this Airflow."""
    address = urlsplit(base_url())
    return f"Timeline: {address.scheme}://{address.netloc}{path}" if address.netloc else ""


def home() -> str:
    """The path below which the pages are."""
    return f"{_root()}{PAGES}"


def base_url() -> str:
    """The web address of this Airflow; empty if nobody configured it."""
    for section in ("api", "webserver"):  # Airflow 3, Airflow 2
        if address := conf.get(section, "base_url", fallback=""):
            return str(address)
    return ""


def _root() -> str:
    return urlsplit(base_url()).path.rstrip("/")


def _earlier(interval: Interval, margin: timedelta) -> str:
    try:
        return format_instant(interval.start - margin)
    except OverflowError:  # before the first year that there is
        return format_instant(interval.start)


def _later(interval: Interval, margin: timedelta) -> str:
    try:
        return format_instant(interval.end + margin)
    except OverflowError:
        return format_instant(interval.end)
