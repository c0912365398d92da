"""Making untrusted text safe to show in terminals, logs and answers."""

from __future__ import annotations


def visible(text: str) -> str:
    """Return the text in one line, with an escape in place of each character that controls the display.

    Such are the control characters that move a terminal's cursor, including those from U+0080 to U+009F, and the
    marks that end a line or change the direction of the text after them.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def in_one_line(text: str) -> str:
    """Return untrusted text, such as a reason, in one line, as it must not look like further lines of ours."""
    return visible(" ".join(text.split()))
