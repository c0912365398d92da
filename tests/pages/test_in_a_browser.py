"""The pages in a real Chromium: what people see and do, with mouse, finger and keyboard."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store.contract import RegistryStore
from testbed.service import ServiceThread
from tests.contract.homes import hours
from tests.pages.conftest import ADMINISTRATOR_TOKEN, NASTY, SCRIPT, watch

DAY = "#from=2026-01-01T00:00:00Z&to=2026-01-01T12:00:00Z"
PAGES = ["/", "/source?name=shop.sales&start=2026-01-01T00:00&end=2026-01-01T09:00" + DAY]


def source_page(name: str, fragment: str = DAY, **query: str) -> str:
    return f"/source?{urlencode({'name': name, **query})}{fragment}"


def details(page: Page) -> str:
    return page.locator("#timeline-details").inner_text()


def test_from_the_list_to_a_source(page: Page) -> None:
    page.goto("/")
    row = page.get_by_role("row").filter(has_text="shop.sales")
    expect(row).to_contain_text("1 locked")
    expect(row).to_contain_text("1 failed")
    expect(row).to_contain_text("2026-01-01 07:00")
    page.get_by_role("link", name="Next page").click()
    expect(page.get_by_role("link", name="team59.events")).to_be_visible()
    page.get_by_role("searchbox").fill("shop.")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="shop.sales").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("shop.sales")
    expect(page.locator("#history")).to_contain_text("disk full")


def test_a_timeline_by_mouse(page: Page) -> None:
    page.goto(source_page("shop.sales"))
    expect(page.locator(".lane-name")).to_have_text(["All providers", "fixer", "loader"])
    page.locator(".mark.locked").last.hover()
    expect(page.locator("#timeline-details")).to_contain_text("airflow/loader/run")
    expect(page.get_by_role("link", name="Log", exact=True)).to_have_attribute(
        "href", "https://airflow.example.com/log?a=1&b=2"
    )
    page.locator(".mark.failed").first.click()
    page.mouse.move(0, 0)
    assert "disk full" in details(page)
    expect(page.locator("#blockers")).to_contain_text("disk full")
    expect(page.get_by_text("lease until")).to_have_count(0)  # A failed partition has no holder.
    page.locator(".mark.gap").last.click()
    assert "2026-01-01 03:00 \N{EN DASH} 2026-01-01 05:00" in details(page)
    page.get_by_role("link", name="Is it ready?").click()
    expect(page.locator("#answer")).to_contain_text("nobody has published")


def test_a_timeline_by_keyboard(page: Page) -> None:
    page.goto(source_page("shop.sales"))
    timeline = page.get_by_role("application", name="Timeline")
    expect(page.locator(".mark.ready").first).to_be_visible()
    timeline.focus()
    page.keyboard.press("ArrowRight")
    assert details(page).startswith("Ready 2026-01-01 00:00 \N{EN DASH} 2026-01-01 01:00")
    page.keyboard.press("ArrowDown")
    assert "disk full" in details(page)
    page.keyboard.press("+")
    expect(page).to_have_url(re.compile("from=2026-01-01T03"))
    page.keyboard.press("Shift+ArrowLeft")
    expect(page).to_have_url(re.compile("from=2026-01-01T01%3A30"))
    page.keyboard.press("Escape")
    assert "Tap or point" in details(page)


def test_moving_and_zooming(page: Page) -> None:
    page.goto(source_page("shop.sales"))
    box = page.locator("#timeline").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.75, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, middle, steps=3)
    page.mouse.up()
    expect(page.locator("#timeline-window")).to_contain_text("2026-01-01 03:00 \N{EN DASH} 2026-01-01 15:00")
    for name in ("Day", "Week", "Month", "Year"):
        page.get_by_role("button", name=name).click()
        expect(page.get_by_role("button", name=name)).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="All", exact=True).click()
    expect(page.locator(".mark.ready").first).to_be_visible()
    page.goto(source_page("shop.sales", "#from=0001-01-01T00:00:00Z&to=9999-12-30T00:00:00Z"))
    expect(page.locator(".mark").first).to_be_attached()


def test_is_it_ready(page: Page) -> None:
    page.goto(source_page("shop.sales"))
    for start, end, said in [
        ("00:00", "01:00", "Ready."),
        ("00:00", "09:00", "'fixer' failed"),
        ("05:00", "05:00", "is empty"),
    ]:
        page.get_by_label("From (UTC)").fill(f"2026-01-01T{start}:00")
        page.get_by_label("Until (UTC)").fill(f"2026-01-01T{end}:00")
        page.get_by_role("button", name="Ask").click()
        expect(page.locator("#answer")).to_contain_text(said)


def test_news_arrive_by_themselves(page: Page, store: RegistryStore) -> None:
    page.goto(source_page("team00.events"))
    expect(page.locator("#live")).to_have_text("Live")
    token = store.register_source("team99.news", "x").access_token
    page.goto(source_page("team99.news"))
    expect(page.locator("#live")).to_have_text("Live")
    store.register_provider("reporter", token)
    store.lock(PartitionKey("team99.news", "reporter", hours(0, 1)), register=True)
    expect(page.locator("#standing")).to_contain_text("1 locked")
    expect(page.locator(".mark.locked").first).to_be_visible()
    store.unlock(PartitionKey("team99.news", "reporter", hours(0, 1)))
    expect(page.locator("#standing")).to_contain_text("ready")
    expect(page.locator("#history")).to_contain_text("unlock")
    expect(page.locator(".mark.ready").first).to_be_visible()


def test_a_page_goes_on_after_its_proxy_was_without_the_service(
    browser: Browser, service: ServiceThread
) -> None:
    with browser.new_context(base_url=service.url) as context:
        page = context.new_page()
        page.route("**/events/stream*", lambda route: route.fulfill(status=502), times=2)
        page.goto(source_page("shop.sales"))
        expect(page.locator("#live")).to_have_text("Connecting again")
        expect(page.locator("#live")).to_have_text("Live")


def test_other_people_s_text_stays_text(page: Page) -> None:
    page.goto("/")
    page.get_by_role("link", name=NASTY).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(NASTY)
    page.goto(source_page(NASTY, start="2026-01-01T00:00", end="2026-01-01T03:00"))
    for part in ("#answer", "#blockers", "#history"):
        expect(page.locator(part)).to_contain_text(SCRIPT)
    page.locator(".mark.failed").first.click()
    assert SCRIPT in details(page)
    assert NASTY in details(page)
    assert page.locator("a[href^='javascript']").count() == 0
    assert page.locator("main img").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1100, 320])
def test_everybody_can_use_them(browser: Browser, service: ServiceThread, scheme: str, width: int) -> None:
    viewport = {"width": width, "height": 800}
    with browser.new_context(base_url=service.url, color_scheme=scheme, viewport=viewport) as context:
        page = context.new_page()
        for address in PAGES:
            page.goto(address)
            expect(page.locator("#live")).to_have_text("Live")
            found = Axe().run(page)
            assert found.violations_count == 0, found.generate_report()
            assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("address", [*PAGES, "/docs", "/redoc"], ids=["list", "source", "docs", "redoc"])
def test_no_page_gets_anything_from_elsewhere(browser: Browser, service: ServiceThread, address: str) -> None:
    """The policy blocks the logo that /redoc would fetch."""
    got: list[str] = []
    with browser.new_context(base_url=service.url) as context:
        page = context.new_page()
        page.on("response", lambda response: got.append(response.url))
        page.goto(address)
        page.wait_for_load_state("networkidle" if address in ("/docs", "/redoc") else "load")
        expect(page.get_by_role("heading", level=1).first).to_be_visible()
    assert [url for url in got if not url.startswith((service.url, "data:", "blob:"))] == []


def test_no_page_scrolls_sideways_on_the_smallest_phone(
    browser: Browser, service: ServiceThread, private: ServiceThread
) -> None:
    pages = [*PAGES, source_page(NASTY), "/?prefix=nothing", "/source?name=nowhere"]
    with browser.new_context(viewport={"width": 320, "height": 700}) as context:
        page = context.new_page()
        for address in [*(service.url + each for each in pages), private.url]:
            page.goto(address)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), address


def test_signing_in_where_reading_takes_a_token(browser: Browser, private: ServiceThread) -> None:
    with browser.new_context(base_url=private.url) as context:
        page = context.new_page()
        page.goto(source_page("shop.sales"))
        field = page.get_by_label("Access token")
        field.fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("token")
        assert context.cookies() == []
        complaints = watch(page)
        field.fill(ADMINISTRATOR_TOKEN)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("shop.sales")
        expect(page.locator("#live")).to_have_text("Live")
        expect(page.locator(".mark.ready").first).to_be_attached()
        (cookie,) = context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"], cookie["expires"]) == (True, "Strict", -1)
        assert complaints == []
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("Access token")).to_be_visible()
        assert context.cookies() == []


def test_a_page_whose_token_is_no_good_any_more_asks_for_another(
    browser: Browser, private: ServiceThread
) -> None:
    with browser.new_context(base_url=private.url) as context:
        page = context.new_page()
        page.goto("/")
        page.get_by_label("Access token").fill(ADMINISTRATOR_TOKEN)
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator("#live")).to_have_text("Live")
        context.clear_cookies()
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        expect(page.get_by_label("Access token")).to_be_visible()
