"""Takes the pictures of the pages inside Airflow in docs/images anew: real Airflow, real Chromium, a made-up week.

``.venvs/core/bin/python -m testbed.inside_airflow_screenshots [FOLDER]`` takes two minutes. Look at each before you
commit it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import FrameLocator, Page, expect

from testbed.airflow import AirflowInstance
from testbed.browser import chromium
from testbed.form_screenshots import VENVS
from testbed.processes import wait_until
from testbed.screenshots import IMAGES, SOURCE, TODAY, Narrator

DAG_ID, TASK_ID = "example_consumer", "wait_for_sales"
EXAMPLE = Path(__file__).parents[1] / "example_dags" / f"{DAG_ID}.py"
VIEWER = "vera"
SCREEN = {"width": 1200, "height": 800}
SLOWLY = 60_000  # milliseconds


def main(folder: Path) -> None:
    """Take all pictures."""
    with TemporaryDirectory() as data:
        url = f"sqlite:///{data}/registry.db"
        Narrator(url).tell()
        connection = {"conn_type": "partition_registry", "host": url, "extra": {"instance": "emea-airflow"}}
        variables = {
            f"AIRFLOW_CONN_{name}": json.dumps(connection)
            for name in ("PARTITION_REGISTRY_DEFAULT", "FINANCE_REGISTRY")
        }
        users = {"ada": "admin", VIEWER: "viewer"}
        with (
            AirflowInstance(VENVS / "airflow-3" / "bin", users=users, environment=variables) as airflow,
            chromium() as browser,
        ):
            run_id = begin_to_wait(airflow)
            page = browser.new_page(base_url=airflow.ui_url, viewport=SCREEN)
            page.set_default_timeout(SLOWLY)
            sign_in(page)
            take(page, run_id, folder)


def begin_to_wait(airflow: AirflowInstance) -> str:
    """Start a run whose sensor waits for today's data; returns its id when the task has its link."""
    airflow.add_dags(EXAMPLE)
    airflow.warm_up()
    airflow.api.wait_until_parsed(DAG_ID)
    airflow.api.unpause(DAG_ID)
    run_id = airflow.api.trigger_run(DAG_ID, {"day": f"{TODAY:%Y-%m-%d}"}, run_id="manual__today")
    links = f"/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/{TASK_ID}/links"
    wait_until(
        lambda: any(airflow.api.call("GET", links)["extra_links"].values()),
        what="the link",
        timeout=120,
        interval=1,
    )
    return run_id


def sign_in(page: Page) -> None:
    """Sign in as somebody who may only look."""
    page.goto("")
    page.locator("[name=username]").fill(VIEWER)
    page.locator("[name=password]").fill(VIEWER)
    page.locator("[type=submit]").click()
    expect(page.get_by_role("heading", name="Welcome")).to_be_visible(timeout=SLOWLY)


def take(page: Page, run_id: str, folder: Path) -> None:
    """Go from the navigation to a source, and from a task to its timeline, and press the shutter."""
    page.goto("plugin/partition-registry")
    inside = page.frame_locator("iframe")
    shoot(page, inside, folder / "inside-airflow.png")
    page.evaluate("localStorage.setItem('theme', 'dark')")
    page.reload()
    inside.get_by_role("link", name=SOURCE).click()
    inside.locator(".mark.failed").last.click()
    shoot(page, inside, folder / "inside-airflow-dark.png")
    page.evaluate("localStorage.setItem('theme', 'light')")
    page.goto(f"dags/{DAG_ID}/runs/{run_id}/tasks/{TASK_ID}/details")
    link = page.get_by_role("link", name="Partition Registry")
    expect(link).to_be_visible(timeout=SLOWLY)
    page.screenshot(path=folder / "inside-airflow-link.png")
    link.click()
    expect(inside.locator(".mark.ready").first).to_be_visible(timeout=SLOWLY)
    inside.locator("#ask").evaluate("section => section.scrollIntoView({block: 'end'})")
    shoot(page, inside, folder / "inside-airflow-timeline.png")


def shoot(page: Page, inside: FrameLocator, file: Path) -> None:
    """Take a picture when the page in the frame is up to date."""
    expect(inside.locator("#live")).to_have_text("Live", timeout=SLOWLY)
    page.mouse.move(600, 790)
    page.wait_for_timeout(1000)  # until everything has been drawn
    page.screenshot(path=file)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES)
