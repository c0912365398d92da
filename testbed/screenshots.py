"""Takes the pictures of the service's pages in docs/images anew: real service, real Chromium, a made-up week.

``.venvs/core/bin/python -m testbed.screenshots [FOLDER]``. Look at each of them before you commit it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlencode

from playwright.sync_api import Browser, expect

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import Holder, PartitionKey
from airflow_provider_partition_registry.server.settings import ServiceSettings
from airflow_provider_partition_registry.store.sql.store import open_sql_store
from testbed.browser import chromium
from testbed.service import ServiceThread

IMAGES = Path(__file__).parents[1] / "docs" / "images"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOW = datetime.now(UTC)
TODAY = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
SOURCE = "shop.sales"
REASON = 'psycopg2.errors.DiskFull: could not extend file "base/16384": No space left on device'
SOURCES = (
    (SOURCE, "sales-team@example.com", ("hourly-load", "corrections")),
    ("shop.returns", "sales-team@example.com", ("returns-load",)),
    ("finance.ledger", "finance@example.com", ("ledger-export",)),
    ("hr.headcount", "people-analytics", ()),
)


@dataclass
class Picture:
    """A picture of one page on a screen of this size, in this colour scheme.

    :param height: of the visible part (CSS pixels); the rest of the page is cut off.
    """

    name: str
    shows_source: bool
    width: int
    height: int
    scheme: str = "light"

    @property
    def is_phone(self) -> bool:
        """Whether it is a phone, whose screens have two dots per pixel."""
        return self.width < 500


PICTURES = (
    Picture("page-sources", False, 1200, 600),
    Picture("page-sources-phone", False, 390, 844),
    Picture("page-source", True, 1200, 1500),
    Picture("page-source-phone-dark", True, 390, 1200, "dark"),
)


def main(folder: Path) -> None:
    """Take all pictures."""
    with TemporaryDirectory() as data:
        url = f"sqlite:///{data}/registry.db"
        Narrator(url).tell()
        with ServiceThread(ServiceSettings(url)) as service, chromium() as browser:
            for picture in PICTURES:
                take(browser, service.url, picture, folder / f"{picture.name}.png")


def take(browser: Browser, url: str, picture: Picture, file: Path) -> None:
    """Open the page, look at the failure in its timeline, press the shutter."""
    size = {"width": picture.width, "height": picture.height}
    with browser.new_context(
        base_url=url, viewport=size, color_scheme=picture.scheme, device_scale_factor=1 + picture.is_phone
    ) as context:
        page = context.new_page()
        if picture.shows_source:
            question = {"name": SOURCE, "start": f"{TODAY - 7 * DAY:%FT%R}", "end": f"{TODAY:%FT%R}"}
            page.goto(f"/source?{urlencode(question)}")
            page.locator(".mark.failed").last.click()
            expect(page.locator("#timeline-details")).to_contain_text("DiskFull")
        else:
            page.goto("/")
        page.wait_for_load_state()
        page.screenshot(path=file)


class Narrator:
    """Writes a week into a registry, event after event, each at its own time.

    :param url: of a SQLite registry, which is created when it is used
    """

    def __init__(self, url: str) -> None:
        self._now = NOW
        self._url = url

    def tell(self) -> None:
        """Write one source with partitions in every state, and some neighbours."""
        with open_sql_store(self._url, pool_size=1, timeout=60, clock=lambda: self._now) as self._store:
            self._now = NOW - 30 * DAY
            for source, owner, providers in SOURCES:
                token = self._store.register_source(source, owner).access_token
                for provider in providers:
                    self._store.register_provider(provider, token)
            for day in range(7, 1, -1):
                self._publish(
                    "finance.ledger", "ledger-export", Interval(TODAY - day * DAY, TODAY - (day - 1) * DAY)
                )
            hours = int((NOW - TODAY + 7 * DAY) / HOUR)
            for hour in range(hours):
                start = TODAY - 7 * DAY + hour * HOUR
                self._publish("shop.returns", "returns-load", Interval(start, start + HOUR))
                if hour not in (53, 54) and hour < hours - 1:
                    self._publish(SOURCE, "hourly-load", Interval(start, start + HOUR))
            self._correct()

    def _correct(self) -> None:
        """Write what people and pipelines are doing at the end of the week."""
        run = "emea-airflow/corrections/scheduled__09:00/load"
        log = {"log_url": "https://airflow.example.com/dags/corrections/runs/scheduled__09:00/tasks/load"}
        failed = Interval(TODAY - 2 * DAY + 9 * HOUR, TODAY - 2 * DAY + 12 * HOUR)
        self._lock("corrections", failed, Holder(run, log), NOW - 26 * HOUR)
        self._store.fail(PartitionKey(SOURCE, "corrections", failed), reason=REASON, holder=Holder(run, log))
        left = Interval(TODAY - 6 * DAY, TODAY - 5 * DAY)
        self._lock("corrections", left, Holder("ada@laptop"), NOW - 3 * HOUR)
        latest = NOW.replace(minute=0, second=0, microsecond=0) - HOUR
        self._lock(
            "hourly-load", Interval(latest, latest + HOUR), Holder("emea-airflow/sales/load"), NOW - HOUR / 4
        )

    def _lock(self, provider: str, interval: Interval, holder: Holder, at: datetime) -> None:
        self._now = at
        self._store.lock(PartitionKey(SOURCE, provider, interval), holder=holder, lease=HOUR, register=True)

    def _publish(self, source: str, provider: str, interval: Interval) -> None:
        """Publish some minutes after the interval's end."""
        self._now = interval.end + HOUR / 12
        self._store.lock(PartitionKey(source, provider, interval), register=True)
        self._now = interval.end + HOUR / 6
        self._store.unlock(PartitionKey(source, provider, interval))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES)
