"""A real Chromium: an installed one or, for root on Debian, one that apt-get installs.

``python -m testbed.browser`` makes sure that there is one; tests that find none fail and say so.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from testbed.debian import install

# The first one, which Playwright uses where it installs browsers itself, lacks everything that needs a window.
NAMES = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
)
VARIABLE = "CHROMIUM"


def find() -> str:
    """The path of a Chromium.

    :raises RuntimeError: there is none.
    """
    names = (os.environ[VARIABLE],) if os.environ.get(VARIABLE) else NAMES
    for name in names:
        if found := shutil.which(name):
            return found
    raise RuntimeError(
        f"No Chromium here, which tests of the pages need: looked for {', '.join(names)}. On Debian, as root: apt-get "
        f"install {NAMES[0]}. One that is elsewhere is named by the variable {VARIABLE}."
    )


def ensure() -> str:
    """Install a Chromium if there is none and this is root on Debian; returns its path.

    :raises RuntimeError: there is none and it cannot be installed.
    """
    try:
        return find()
    except RuntimeError:
        if os.environ.get(VARIABLE) or not install(NAMES[0], "fonts-dejavu-core"):
            raise
    return find()


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find())
        try:
            yield browser
        finally:
            browser.close()


if __name__ == "__main__":
    ensure()
