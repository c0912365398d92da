"""The documents of the project, and the blocks of code in them."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

PROJECT = Path(__file__).parents[1]
DOCS = PROJECT / "docs"


def blocks(document: Path, language: str) -> list[str]:
    """The document's fenced code blocks in a language, in order, including those in lists."""
    found = re.findall(
        rf"^ *```{language}\n(.*?)^ *```$", document.read_text(), flags=re.MULTILINE | re.DOTALL
    )
    return [textwrap.dedent(each) for each in found]
