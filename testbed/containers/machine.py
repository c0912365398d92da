"""A machine within the machine: namespaces of processes, mounts and networks that end with the process that made them.

However that process ends, no container, network, mount or port survives it. For Podman every start is a boot.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")

BURY_ORPHANS = '"$@"; exit $?'
"""A shell that waits for a command. As the first process it also reaps those that Podman leaves to the system."""


def run_module(name: str, *arguments: str, has_network: bool) -> int:
    """Run a Python module in a machine of its own, and return its exit code.

    :param has_network: whether it shares this machine's network; otherwise it has only its own.
    """
    namespaces = ["--pid", "--mount-proc", "--mount", *([] if has_network else ["--net"])]
    command = [
        *["setpriv", "--pdeathsig", "KILL", "unshare", *namespaces, "--fork", "--kill-child"],
        *["sh", "-c", BURY_ORPHANS, "sh", sys.executable, "-m", name, *arguments],
    ]
    # In a session of its own: a Ctrl-C goes to this process, which then ends the other.
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        return process.wait()
    finally:
        process.kill()
        process.wait()
        _remove_empty_cgroups()


def boot(*, has_network: bool) -> None:
    """Set up the machine whose first process this is."""
    # Podman's record of what runs; on a machine that has just started that is nothing.
    for folder in ("/run", "/dev/shm"):
        _run("mount", "-t", "tmpfs", "tmpfs", folder)
    if not has_network:
        _run("ip", "link", "set", "lo", "up")


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


def _remove_empty_cgroups() -> None:
    """Remove the cgroups of containers that were killed; the system refuses if a process is left in one."""
    for parent in CGROUPS.glob("**/libpod_parent"):
        for folder, _, _ in os.walk(parent, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(folder)
