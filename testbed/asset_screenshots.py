"""Takes the picture of Airflow's asset graph in docs/images anew, from a real Airflow 3 in a real Chromium.

``.venvs/core/bin/python -m testbed.asset_screenshots [FOLDER]`` takes about a minute. Look at it before you commit it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import expect

from testbed.airflow import AirflowInstance
from testbed.browser import chromium
from testbed.processes import new_temporary_folder
from testbed.screenshots import IMAGES

VENVS = Path(__file__).parents[1] / ".venvs"
PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "lineage.md"
SCREEN = {"width": 1200, "height": 600}
SOURCE = "shop.orders"


def main(folder: Path) -> None:
    """Draw the graph of the DAGs that the page shows."""
    dags = new_temporary_folder("assets")
    blocks = [each.partition("```")[0] for each in PAGE.read_text().split("```python\n")[1:]]
    for number, block in enumerate(blocks):
        (dags / f"dag_{number}.py").write_text(block)
    airflow = AirflowInstance(VENVS / "airflow-3" / "bin")
    airflow.add_dags(dags)
    with airflow, chromium() as browser:
        for dag_id in ("orders_report", "load_orders"):
            airflow.api.wait_until_parsed(dag_id)
        (asset,) = airflow.api.call("GET", f"/assets?name_pattern={SOURCE}")["assets"]
        page = browser.new_page(viewport=SCREEN)
        page.goto(f"{airflow.ui_url}assets/{asset['id']}")
        page.get_by_text("Task Dependencies").click()
        expect(page.get_by_text("write.unlock")).to_be_visible()
        page.locator(".react-flow__controls-fitview").click()
        page.wait_for_timeout(1000)  # until it stands still
        page.screenshot(path=folder / "asset-graph.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES)
