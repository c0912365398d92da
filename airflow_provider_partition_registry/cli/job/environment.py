"""The environment that a command is to find."""

from __future__ import annotations

import contextlib
import os

_COERCED = b"LC_CTYPE"


def given_environment() -> dict[bytes, bytes]:
    """What the caller of this process gave it. In the C locale Python chooses another one, for its children too."""
    environment = dict(os.environb)
    with contextlib.suppress(OSError), open("/proc/self/environ", "rb") as file:
        given = dict(each.split(b"=", 1) for each in file.read().split(b"\0") if b"=" in each)
        environment.pop(_COERCED, None)
        if _COERCED in given:
            environment[_COERCED] = given[_COERCED]
    return environment
