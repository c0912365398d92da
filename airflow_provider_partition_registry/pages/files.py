"""The files that pages load: a style sheet, scripts, an icon. They are part of the package."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

FOR_EVER = "public, max-age=31536000, immutable"
"""The ``Cache-Control`` of a file: its address changes with its content."""


@dataclass(frozen=True, slots=True)
class File:
    """A file that pages load."""

    content: bytes
    media_type: str


FILES = {
    path.name: File(path.read_bytes(), _KINDS[path.suffix])
    for path in (Path(__file__).parent / "assets").iterdir()
}


def address_of(name: str) -> str:
    """The address of a file, relative to a page's."""
    return f"pages/{name}?{hashlib.sha256(FILES[name].content).hexdigest()[:12]}"
