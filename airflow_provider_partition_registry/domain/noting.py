"""What is told to those who wait: at first all that is missing, then only what changes, as a colleague would tell it.

What is missing is a text, as :func:`~..domain.waiting.explain_missing` makes it: a line for each question, and below
it, indented, a line for each reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

_NOT_READY = re.compile(r"Not ready: (.*):")
_PARTITION = re.compile(r"\[[^)]*\) of provider '.*?'")
_INTERVALS = " ["


@dataclass
class Notes:
    """What somebody who waits has told so far.

    :param missing: what is missing, as far as it was told.
    :param trouble: why the registry does not respond, if that was told last.
    """

    missing: str = ""
    trouble: str = ""

    @classmethod
    def read(cls, text: str) -> Notes:
        """Read notes that were written by an earlier process; those of former versions tell nothing."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            return cls()

    def written(self) -> str:
        """The notes as text."""
        return json.dumps(vars(self))

    def take(self, missing: str, where: str = "") -> str:
        """What there is to tell now that the registry has said what is missing; empty if nothing.

        :param where: told together with the first thing that is missing.
        """
        told = what_changed(self.missing, missing)
        if missing and not self.missing and where:
            told = f"{told}\n{where}"
        if self.trouble:
            told = (
                f"The registry responds again.\n{told}"
                if told
                else "The registry responds again, with the same."
            )
        self.missing, self.trouble = missing, ""
        return told

    def take_trouble(self, trouble: str) -> str:
        """What there is to tell now that the registry does not respond; empty if nothing."""
        is_known = trouble == self.trouble
        self.trouble = trouble
        return "" if is_known else f"Still waiting. {trouble}"


def what_changed(before: str, now: str) -> str:
    """What a reader of the first text does not know of the second yet; empty if nothing.

    A reason that takes the place of one about the same thing is told without that one: the gap that remains, or that
    a partition which was locked has failed.
    """
    known, present = _parts(before), _parts(now)
    told = [_news(heading, known.get(heading), reasons) for heading, reasons in present.items()]
    told += [_end_of(heading) for heading in known if heading not in present]
    return "\n".join(filter(None, told))


def _parts(text: str) -> dict[str, list[str]]:
    """The reasons below each heading."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith(" ") and found:
            found[next(reversed(found))].append(line.strip())
        elif line:
            found.setdefault(line, [])
    return found


def _news(heading: str, known: Sequence[str] | None, reasons: Sequence[str]) -> str:
    if known is None:
        return "\n  ".join([heading, *reasons])
    new = [f"now: {each}" for each in reasons if each not in known]
    subjects = {_subject(each) for each in reasons}
    gone = [
        f"no longer: {each}"
        for each in known
        # Of gaps it is enough to tell what has come in their place.
        if _subject(each) not in subjects and (_PARTITION.match(each) or not new)
    ]
    return "\n  ".join([_still(heading), *new, *gone]) if new or gone else ""


def _still(heading: str) -> str:
    question = _NOT_READY.fullmatch(heading)
    return f"Still not ready: {question[1]}:" if question else heading


def _end_of(heading: str) -> str:
    question = _NOT_READY.fullmatch(heading)
    return f"Ready: {question[1]}." if question else f"No longer: {heading}"


def _subject(reason: str) -> str:
    """What a reason is about: a partition, or what is said of gaps."""
    partition = _PARTITION.match(reason)
    return partition[0] if partition else reason.partition(_INTERVALS)[0]
