"""Removes what a run leaves in the folder, but for what makes the next one quick: stand-ins and layers of images."""

from __future__ import annotations

import shutil
import sys

from testbed.containers import engine, machine
from testbed.containers.stack import PROJECT


def main() -> int:
    """Do it; the exit code."""
    machine.boot(has_network=False)
    engine.configure()
    engine.remove_containers()
    # Of images that were built anew; not at once, since the layers of a first build stage look the same.
    engine.podman("image", "prune", "--force", "--filter", "until=72h")
    shutil.rmtree(PROJECT, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
