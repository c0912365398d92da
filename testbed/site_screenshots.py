"""Pictures of the documentation's pages, to look at: wide and narrow, light and dark. They are not kept.

``make docs``, then ``.venvs/core/bin/python -m testbed.site_screenshots FOLDER [PAGE...]`` with pages such as
``how-to/write``; by default all. It reports pages wider than the screen, errors in the console, and network requests.
"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import Browser, Page

from testbed.browser import chromium

SITE = Path(__file__).parents[1] / "docs" / "_build"
SCREENS = {"wide": (1280, 900), "narrow": (390, 844)}


def main(folder: Path, *names: str) -> None:
    """Take the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [each.relative_to(SITE) for each in sorted(SITE.rglob("*.html"))]
    pages = names or [str(each.with_suffix("")) for each in files if each.parts[0] != "_static"]
    with chromium() as browser:
        for screen, (width, height) in SCREENS.items():
            for scheme in ("light", "dark"):
                for name in pages:
                    size = {"width": width, "height": height}
                    take(
                        browser,
                        name,
                        size,
                        scheme,
                        folder / f"{name.replace('/', '-')}-{screen}-{scheme}.png",
                    )


def take(browser: Browser, name: str, size: dict[str, int], scheme: str, file: Path) -> None:
    """Take one page, from top to bottom."""
    with browser.new_context(viewport=size, color_scheme=scheme) as context:
        page = context.new_page()
        page.on("console", lambda said: said.type == "error" and print(f"{name}: {said.text}"))
        page.on("request", lambda sent: sent.url.startswith("http") and print(f"{name} fetches {sent.url}"))
        page.goto((SITE / f"{name}.html").as_uri())
        page.wait_for_load_state()
        if width_of(page) > size["width"]:
            print(f"{name} is {width_of(page)} pixels wide, on a screen of {size['width']}")
        page.screenshot(path=file, full_page=True)


def width_of(page: Page) -> int:
    """How wide the page's content is."""
    return int(page.evaluate("document.documentElement.scrollWidth"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
