"""Removes what a run leaves in the folder, except what makes the next run quick: stand-ins and layers of images."""

from __future__ import annotations

import shutil
import sys

from testbed.containers import engine, machine
from testbed.containers.stack import PROJECT


def main() -> int:
    """Clean up, and return the exit code."""
    machine.boot(has_network=False)
    engine.configure()
    engine.remove_containers()
    # Images that were replaced by new ones. Not at once, as the layers of a first build stage look the same.
    engine.podman("image", "prune", "--force", "--filter", "until=72h")
    shutil.rmtree(PROJECT, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
