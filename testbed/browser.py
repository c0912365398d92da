"""A real Chromium: the one that is installed, or, for root on Debian, the one that apt-get installs.

``python -m testbed.browser`` sees to it that there is one; tests that find none fail and say so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

# The first, what Playwright drives by default where it installs browsers itself, leaves out all that needs a window.
NAMES = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
)
VARIABLE = "CHROMIUM"
LOCKED_OUT = ("Could not get lock", "Unable to lock", "Unable to acquire the dpkg frontend lock")


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
    """Install a Chromium if there is none and this is root on Debian; its path.

    :raises RuntimeError: there is none and it cannot be installed.
    """
    try:
        return find()
    except RuntimeError:
        if os.environ.get(VARIABLE) or os.geteuid() != 0 or not shutil.which("apt-get"):
            raise
    apt_get("update")
    apt_get("install", "--yes", "--no-install-recommends", NAMES[0], "fonts-dejavu-core")
    return find()


def apt_get(*arguments: str, patience: float = 600.0) -> None:
    """Run it, again and again while another package manager is at work, as on a machine that has just been made.

    Apt's own ``DPkg::Lock::Timeout`` waits for dpkg's lock alone, not for that of ``update``.

    :param patience: how long to try (seconds)
    :raises subprocess.CalledProcessError: it failed, or was still locked out
    """
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    command = ["apt-get", "--quiet", *arguments]
    deadline = time.monotonic() + patience
    is_told = False
    while True:
        done = subprocess.run(command, check=False, env=environment, stderr=subprocess.PIPE, text=True)
        is_locked_out = done.returncode != 0 and any(each in done.stderr for each in LOCKED_OUT)
        if not is_locked_out or time.monotonic() > deadline:
            print(done.stderr, end="", file=sys.stderr)
            done.check_returncode()
            return
        if not is_told:
            print("Another package manager is at work here. Waiting for it.", file=sys.stderr)
            is_told = True
        time.sleep(1)


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
