"""The pages inside real Airflows, in a real Chromium: who gets in, what is seen there, and which links lead there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, FrameLocator, Page, expect

from airflow_provider_partition_registry.domain.models import Holder
from airflow_provider_partition_registry.store.contract import RegistryStore
from testbed.airflow import AirflowInstance
from testbed.processes import wait_until
from tests.pages.airflows import ORDERS, PASSWORD, sign_in, visitor

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

PAGES = "partition-registry/partition_registry_default/"
SOURCE = f"{PAGES}source?name=shop.orders"
SOON = 30_000  # milliseconds; the machine may be busy, and pages ask every five seconds

expect.set_options(timeout=SOON)


@pytest.fixture
def page_3(browser: Browser, airflow_3: AirflowInstance) -> Iterator[Page]:
    page = visitor(browser, airflow_3)
    yield page
    page.context.close()


@pytest.fixture
def page_2(browser: Browser, airflow_2: AirflowInstance) -> Iterator[Page]:
    page = visitor(browser, airflow_2)
    yield page
    page.context.close()


def framed(page: Page) -> FrameLocator:
    return page.frame_locator("iframe[title='Partition Registry']")


class TestAirflow3:
    def test_nobody_gets_in_before_signing_in(self, page_3: Page) -> None:
        for path in ("partition-registry/", SOURCE, f"{PAGES}api/v1/events/last"):
            assert page_3.request.get(path).status == 401
        answer = page_3.goto(SOURCE)
        assert answer.status == 401
        expect(page_3.get_by_text("Not authenticated.")).to_be_visible()
        expect(page_3.locator("header")).to_have_css("display", "flex")  # the style sheet is for everybody
        page_3.get_by_role("link", name="Sign in to Airflow").click()
        sign_in(page_3, "vera")
        expect(page_3.get_by_role("heading", level=1)).to_have_text("shop.orders")

    def test_a_viewer_finds_it_in_the_navigation(self, page_3: Page) -> None:
        page_3.goto("")
        sign_in(page_3, "vera")
        page_3.get_by_role("button", name="Browse").click()
        page_3.get_by_role("menuitem", name="Partition Registry").click()
        inside = framed(page_3)
        inside.get_by_role("link", name="shop.orders").click()
        expect(inside.locator(".mark.ready").first).to_be_visible()
        expect(page_3).to_have_url(re.compile(r"/plugin/partition-registry/.*source\?name=shop\.orders"))
        expect(inside.get_by_role("link", name="Airflow")).to_be_hidden()

    def test_it_follows_what_happens(self, page_3: Page, orders: RegistryStore) -> None:
        page_3.goto(SOURCE)
        page_3.get_by_role("link", name="Sign in to Airflow").click()
        sign_in(page_3, "vera")
        expect(page_3.locator("#live")).to_have_text("Live")
        holder = Holder("shop-airflow/a-person", {"log_url": "https://airflow.example.com/log"})
        locked = orders.lock(ORDERS, register=True, holder=holder)
        expect(page_3.locator("#blockers")).to_contain_text("shop-airflow/a-person")
        orders.release(ORDERS, generation=locked.generation)
        expect(page_3.locator("#blockers")).to_have_text("Nothing.")

    def test_it_follows_airflows_theme(self, page_3: Page) -> None:
        page_3.goto("plugin/partition-registry")
        sign_in(page_3, "vera")
        body = framed(page_3).locator("body")
        expect(body).to_contain_text("shop.orders")  # Airflow has led there after signing in
        colours = {"light": "rgb(255, 255, 255)", "dark": "rgb(22, 29, 45)"}
        for theme in ("dark", "light", "dark"):
            page_3.evaluate("theme => localStorage.setItem('theme', theme)", theme)
            expect(body).to_have_css("background-color", colours[theme])

    def test_the_log_of_a_holder_opens_beside_the_frame(
        self,
        page_3: Page,
        orders: RegistryStore,
        airflow_3: AirflowInstance,
    ) -> None:
        log_url = f"{airflow_3.ui_url}dags/writes"
        locked = orders.lock(ORDERS, register=True, holder=Holder("me", {"log_url": log_url}))
        page_3.goto(f"plugin/partition-registry/{SOURCE}")
        sign_in(page_3, "vera")
        with page_3.expect_popup() as opened:
            framed(page_3).locator("#blockers").get_by_role("link", name="log").click()
        expect(opened.value).to_have_url(re.compile("/dags/writes"))
        orders.release(ORDERS, generation=locked.generation)

    def test_a_registry_that_is_down(self, page_3: Page) -> None:
        page_3.goto("plugin/partition-registry")
        sign_in(page_3, "vera")
        inside = framed(page_3)
        inside.get_by_role("link", name="out_of_order").click()
        expect(inside.get_by_role("alert")).to_contain_text("cannot be read at present")
        assert PASSWORD not in inside.locator("html").inner_html()
        inside.get_by_role("link", name="partition_registry_default").click()
        expect(inside.get_by_role("link", name="shop.orders")).to_be_visible()


def run_waits(airflow: AirflowInstance) -> str:
    run_id = airflow.api.trigger_run("waits")
    for task_id, state in (("deferred", "deferred"), ("rescheduled", "up_for_reschedule")):
        airflow.api.wait_for_task_state("waits", run_id, task_id, state, timeout=120)
    return run_id


def publish(orders: RegistryStore) -> None:
    locked = orders.lock(ORDERS, register=True)
    orders.unlock(ORDERS, generation=locked.generation)


def links_of(airflow: AirflowInstance, run_id: str) -> dict[str, str]:
    def link(task_id: str) -> str:
        found = airflow.api.call("GET", f"/dags/waits/dagRuns/{run_id}/taskInstances/{task_id}/links")
        return found.get("extra_links", found)["Partition Registry"]

    return {task_id: link(task_id) for task_id in ("deferred", "rescheduled")}


def logs_of(airflow: AirflowInstance, run_id: str) -> str:
    tasks = airflow.api.task_instances("waits", run_id)
    return "\n".join(
        f"{each['task_id']} is {each['state']}\n{airflow.api.task_log('waits', run_id, each['task_id'])}"
        for each in tasks
    )


def follow_link_while_it_waits(
    page: Page,
    airflow: AirflowInstance,
    orders: RegistryStore,
    look: Callable[[Page, str], None],
) -> None:
    run_id = run_waits(airflow)
    # One that started in the triggerer has its link a moment after it is called deferred.
    wait_until(lambda: all(links_of(airflow, run_id).values()), what="the links", timeout=60, interval=1)
    links = links_of(airflow, run_id)
    assert len(set(links.values())) == 1
    look(page, run_id)
    publish(orders)
    assert airflow.api.wait_for_run("waits", run_id) == "success", logs_of(airflow, run_id)
    assert links_of(airflow, run_id) == links  # those of tasks that have ended
    withdrawn = orders.invalidate(ORDERS, reason="again", by="the test")
    orders.withdraw(withdrawn.key, reason="again", by="the test")


def test_a_link_while_a_sensor_waits_on_airflow_3(
    page_3: Page,
    airflow_3: AirflowInstance,
    orders: RegistryStore,
) -> None:
    def look(page: Page, run_id: str) -> None:
        page.goto(f"dags/waits/runs/{quote(run_id)}/tasks/deferred/details")
        sign_in(page, "vera")
        page.get_by_role("link", name="Partition Registry").click()
        inside = framed(page)
        expect(inside.get_by_role("heading", level=1)).to_have_text("shop.orders")
        expect(inside.locator("#answer")).to_contain_text("nobody has published")
        expect(page).to_have_url(re.compile(r"/plugin/partition-registry/.*from=2026-01-01T12"))

    follow_link_while_it_waits(page_3, airflow_3, orders, look)


def test_a_link_while_a_sensor_waits_on_airflow_2(
    page_2: Page,
    airflow_2: AirflowInstance,
    orders: RegistryStore,
) -> None:
    def look(page: Page, run_id: str) -> None:
        page.goto(f"dags/waits/grid?dag_run_id={quote(run_id)}&task_id=deferred")
        sign_in(page, "vera")
        page.get_by_role("link", name="Partition Registry").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("shop.orders")
        expect(page.locator("#answer")).to_contain_text("nobody has published")

    follow_link_while_it_waits(page_2, airflow_2, orders, look)


class TestAirflow2:
    def test_nobody_gets_in_before_signing_in(self, page_2: Page) -> None:
        page_2.goto(SOURCE)
        expect(page_2).to_have_url(re.compile("/login/"))
        sign_in(page_2, "vera")
        expect(page_2.get_by_role("heading", level=1)).to_have_text("shop.orders")
        expect(page_2.locator(".mark.ready").first).to_be_visible()
        expect(page_2.locator("#live")).to_have_text("Live")

    def test_an_administrator_finds_it_in_the_menu(self, page_2: Page) -> None:
        page_2.goto("login/")
        sign_in(page_2, "ada")
        page_2.get_by_role("link", name="Browse").hover()
        page_2.get_by_role("link", name="Partition Registry").click()
        expect(page_2.get_by_role("link", name="shop.orders")).to_be_visible()
        page_2.get_by_role("link", name="Airflow").click()
        expect(page_2).to_have_url(re.compile("/home"))

    def test_it_follows_airflows_theme(self, page_2: Page) -> None:
        page_2.goto(SOURCE)
        sign_in(page_2, "vera")
        expect(page_2.locator("body")).to_have_css("background-color", "rgb(255, 255, 255)")
        page_2.evaluate("localStorage.setItem('darkTheme', 'true')")
        page_2.reload()
        expect(page_2.locator("body")).to_have_css("background-color", "rgb(22, 29, 45)")
