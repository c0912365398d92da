"""The documents of the project, and the blocks of code in them."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

PROJECT = Path(__file__).parents[1]
DOCS = PROJECT / "docs"


def blocks(document: Path, language: str) -> list[str]:
    """Its fenced blocks in a language, also those in lists, in their order."""
    found = re.findall(
        rf"^ *```{language}\n(.*?)^ *```$", document.read_text(), flags=re.MULTILINE | re.DOTALL
    )
    return [textwrap.dedent(each) for each in found]
