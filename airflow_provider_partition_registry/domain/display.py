"""Other people's text where people read it: in terminals, logs and answers."""

from __future__ import annotations


def visible(text: str) -> str:
    """The text in one line, with an escape in place of each character that is not printed but obeyed.

    Such are the control characters that move a terminal's cursor, also those from U+0080 to U+009F, and the marks that
    end a line or turn the direction of what follows.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
