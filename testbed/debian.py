"""Installing Debian's packages, for root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time

LOCKED_OUT = ("Could not get lock", "Unable to lock", "Unable to acquire the dpkg frontend lock")


def install(*packages: str) -> bool:
    """Install packages if this is root on Debian; returns whether it is."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    apt_get("update")
    apt_get("install", "--yes", "--no-install-recommends", *packages)
    return True


def apt_get(*arguments: str, timeout: float = 600.0) -> None:
    """Run apt-get, and retry while another package manager is at work, as on a machine that has just been set up.

    Apt's own ``DPkg::Lock::Timeout`` waits only for dpkg's lock, not for that of ``update``.

    :param timeout: how long to try (seconds)
    :raises subprocess.CalledProcessError: it failed, or was still locked out
    """
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    command = ["apt-get", "--quiet", *arguments]
    deadline = time.monotonic() + timeout
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
