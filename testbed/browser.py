"""A real Chromium: the one that is installed, or, for root on Debian, the one that apt-get installs.

``python -m testbed.browser`` sees to it that there is one; tests that find none fail and say so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
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
        f"install chromium. One that is elsewhere is named by the variable {VARIABLE}."
    )


def ensure() -> str:
    """Install a Chromium if there is none and this is root on Debian; its path.

    :raises RuntimeError: there is none and it cannot be installed.
    """
    try:
        return find()
    except RuntimeError:
        if os.environ.get(VARIABLE) or os.geteuid() != 0 or not shutil.which("apt-get"):
            raise
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    packages = ("chromium", "fonts-dejavu-core")
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        subprocess.run(["apt-get", "--quiet", *command], env=environment, check=True)
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
