"""Records what a running service responds: ``python -m tests.service.recording URL > .../former_version.json``.

The service serves an empty registry, with ``PARTITION_REGISTRY_ADMINISTRATOR_TOKEN`` set to ``administrator`` below.
"""

from __future__ import annotations

import json
import sys

import httpx

from tests.service.recording.exchanges import play
from tests.service.recording.script import REQUESTS

GIVEN = {"administrator": "the-administrator-of-the-recording"}

if __name__ == "__main__":
    with httpx.Client(base_url=sys.argv[1], timeout=60, trust_env=False) as http:
        lines = [json.dumps(each, ensure_ascii=False) for each in play(REQUESTS, http, GIVEN)]
    print("[\n" + ",\n".join(lines) + "\n]")
