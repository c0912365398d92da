"""nginx as a load balancer in front of several services, as docs/how-to/several-instances.md configures it."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from testbed.nginx import nginx
from testbed.processes import free_port

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "several-instances.md"
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextmanager
def balanced(urls: Sequence[str]) -> Iterator[str]:
    """Run it in front of the services at these URLs; yields its own."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with nginx(configuration(port, urls), lambda: _is_up(url)):
        yield url


def configuration(port: int, urls: Sequence[str]) -> str:
    """The page's configuration, with our ports."""
    written: str
    (written,) = re.findall(r"^```nginx\n(.*?)^```", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    lines = re.findall(r"^    server 10\.0\.0\..*\n", written, flags=re.MULTILINE)
    assert "".join(lines) in written
    assert written.count("listen 80;") == 1
    servers = [re.sub(r"10\.0\.0\.\d+:5498", url.removeprefix("http://"), lines[0]) for url in urls]
    written = written.replace("".join(lines), "".join(servers))
    return written.replace("listen 80;", f"listen 127.0.0.1:{port};")


def _is_up(url: str) -> bool:
    try:
        with _opener.open(f"{url}/readyz", timeout=5):
            return True
    except OSError:
        return False
