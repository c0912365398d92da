"""Takes the pictures of the connection form in docs/images anew, from both real Airflows in a real Chromium.

``.venvs/core/bin/python -m testbed.form_screenshots [FOLDER]`` takes about a minute. Look at each before you commit it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from testbed.airflow import AirflowInstance
from testbed.browser import chromium
from testbed.postgres import PostgresServer
from testbed.screenshots import IMAGES

VENVS = Path(__file__).parents[1] / ".venvs"
TYPE = "Partition Registry"
SCREEN = {"width": 1200, "height": 1150}


def main(folder: Path) -> None:
    """Take all pictures, one Airflow after the other."""
    with chromium() as browser:
        with PostgresServer() as server:
            metadata_url = server.create_database("airflow")
            with AirflowInstance(VENVS / "airflow-2" / "bin", metadata_url=metadata_url) as airflow:
                take_of_2(_page(browser, f"{airflow.ui_url}connection/add"), folder)
        with AirflowInstance(VENVS / "airflow-3" / "bin") as airflow:
            take_of_3(_page(browser, f"{airflow.ui_url}connections"), folder)


def take_of_2(page: Page, folder: Path) -> None:
    """Take those of Airflow 2, where all fields are on one page."""
    page.select_option("#conn_type", "partition_registry", force=True)
    expect(page.get_by_text("The provider that tasks act as")).to_be_visible()
    page.screenshot(path=folder / "connection-airflow-2.png", full_page=True)


def take_of_3(page: Page, folder: Path) -> None:
    """Take those of Airflow 3, where the extra fields are in a part of the form that has to be opened."""
    page.get_by_role("button", name="Add Connection").click()
    page.get_by_role("combobox").last.click()
    page.get_by_role("option", name=TYPE, exact=True).click()
    page.screenshot(path=folder / "connection-airflow-3.png")
    page.get_by_role("button", name="Extra Fields", exact=True).click()
    expect(page.get_by_text("The provider that tasks act as")).to_be_visible()
    page.wait_for_timeout(500)  # until it has opened
    page.screenshot(path=folder / "connection-airflow-3-extra.png")


def _page(browser: Browser, url: str) -> Page:
    page = browser.new_page(viewport=SCREEN)
    page.goto(url)
    return page


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES)
