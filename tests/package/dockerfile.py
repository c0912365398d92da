"""Reads a Dockerfile stage by stage, as far as ours needs it."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Stage:
    """The stage's instructions in order: each instruction's word, and what follows it."""

    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, word: str) -> list[str]:
        return [text for found, text in self.instructions if found == word]

    def one(self, word: str) -> str:
        (text,) = self.all(word)
        return text

    def command(self, word: str) -> list[str]:
        """The command in an instruction that has it as a JSON array."""
        found: list[str] = json.loads(re.sub(r"^[^\[]*", "", self.one(word)))
        return found

    @property
    def environment(self) -> dict[str, str]:
        pairs = [word.partition("=") for text in self.all("ENV") for word in shlex.split(text)]
        return {name: value for name, _, value in pairs}


def stages_of(dockerfile: Path) -> list[Stage]:
    """Read a Dockerfile; instructions before the first stage are left out."""
    text = re.sub(r"^#.*\n", "", dockerfile.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    stages: list[Stage] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            stages.append(Stage())
        elif stages:
            stages[-1].instructions.append((word, rest.strip()))
    return stages
