"""The programs that ``make containers`` needs: found or, for root on Debian, installed."""

from __future__ import annotations

import os
import shutil

from testbed.debian import apt_get
from testbed.processes import TestbedError

# Podman's helpers are not on the search path.
HELPERS = ("/usr/libexec/podman", "/usr/lib/podman", "/usr/local/libexec/podman", "/usr/local/lib/podman")
SYSTEM = ("/usr/sbin", "/sbin")

PACKAGES = {
    "aardvark-dns": "aardvark-dns",
    "debootstrap": "debootstrap",
    "ip": "iproute2",
    "iptables": "iptables",
    "netavark": "netavark",
    "podman": "podman",
    "runc": "runc",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}
"""Each program, and Debian's package for it."""


def ensure() -> None:
    """Install what is missing, as root on Debian.

    :raises TestbedError: something is missing and cannot be installed, or this is not root.
    """
    if os.geteuid() != 0:
        raise TestbedError(
            "It takes root to make root file systems and networks: run make containers as root."
        )
    missing = _find_missing()
    if missing and shutil.which("apt-get"):
        apt_get("update")
        apt_get("install", "--yes", "--no-install-recommends", *sorted({PACKAGES[name] for name in missing}))
        missing = _find_missing()
    if missing:
        raise TestbedError(
            "These programs are needed and not installed: "
            + ", ".join(f"{name} (in Debian's package {PACKAGES[name]})" for name in missing)
        )


def _find_missing() -> list[str]:
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *SYSTEM, *HELPERS))
    return [name for name in PACKAGES if not shutil.which(name, path=path)]
