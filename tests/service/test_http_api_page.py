"""The commands on docs/http-api.md work as they stand, one after the other, against a new service."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from testbed.service_process import ServiceProcess

PAGE = Path(__file__).parents[2] / "docs" / "http-api.md"


def test_its_commands_work(migrated_sqlite_url: str) -> None:
    page = PAGE.read_text()
    script = "".join(re.findall(r"```bash\n(.*?)```", page, flags=re.DOTALL))
    (serve,) = re.findall(r"^partition-registry serve (.*)$", page, flags=re.MULTILINE)
    assert (
        serve == "--database-url sqlite:///registry.db --port 5498"
    )  # what the process below does, elsewhere
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
    assert done.stdout.splitlines()[-1] == "event: UNLOCK"
