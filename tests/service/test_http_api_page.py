"""The commands in docs/how-to/curl.md work as they are written, in order, with a new service."""

from __future__ import annotations

import os
import re
import subprocess

from testbed.service_process import ServiceProcess
from tests.documents import DOCS, blocks

PAGE = DOCS / "how-to" / "curl.md"


def test_its_commands_work(migrated_sqlite_url: str) -> None:
    script = "".join(blocks(PAGE, "bash"))
    # What the process below does, elsewhere.
    assert blocks(PAGE, "console") == [
        "partition-registry serve --database-url sqlite:///registry.db --port 5498\n"
    ]
    with ServiceProcess(migrated_sqlite_url) as service:
        done = subprocess.run(
            ["bash", "-euc", 'eval "$(cat)"'],
            input=script,
            env={"PATH": os.environ["PATH"], "REGISTRY": service.url, "NO_PROXY": "127.0.0.1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "true\ntrue\nSOURCE_REGISTERED\n" in done.stdout
    *before, streamed = done.stdout.splitlines()
    assert "event: UNLOCK" in before
    days = re.findall(r"^(2026-11-\d\d)T00:00:00Z \d+$\ngo on after \d+$", done.stdout, flags=re.MULTILINE)
    assert f'"start":"{days[-1]}T00:00:00Z"' in streamed
