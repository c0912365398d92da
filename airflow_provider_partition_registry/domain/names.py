"""What is valid as a name, as free text or as a number. Checked before anything reaches a store."""

from __future__ import annotations

import re
import unicodedata

from airflow_provider_partition_registry.domain.invalid_input import InvalidInputError, InvalidNameError

MAX_NAME_LENGTH = 250
MAX_IDENTITY_LENGTH = 2_000  # an Airflow identity joins several names of up to 250 characters each
MAX_TEXT_LENGTH = 4_000
LARGEST_PAGE = 10_000

_WHITE_SPACE = re.compile(r"\s")
_INVISIBLE = re.compile(
    # Unicode's property Default_Ignorable_Code_Point, which Python does not know: characters that are not drawn.
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    # Characters with a width but no ink, for which there is no property: blank Braille, fillers, an empty note head.
    "\u2800\U00013441\U00013442\U00016fe4\U0001d159]"
)
_REPLACEMENT = "\ufffd"
_FOLDERS = frozenset({".", ".."})


def check_new_name(what: str, name: str, max_length: int = MAX_NAME_LENGTH) -> str:
    """Return ``name`` if something new may be given it: it is valid, and cannot be mistaken for another name.

    What was named before this check existed is still found by its name (:func:`check_name`), so that partitions locked
    or failed under it can be finished or withdrawn.

    :param what: what the name is for, for the message.
    :raises InvalidNameError: it is not valid as a name, or contains invisible characters (Unicode's default-ignorable
        ones, also those that choose a variant of an emoji, and blanks) or U+FFFD, or a part between slashes is ``.`` or
        ``..``.
    """
    check_name(what, name, max_length)
    if found := _INVISIBLE.search(name):
        raise InvalidNameError(
            f"A {what} must not contain invisible characters; the one at position {found.end()} is "
            f"U+{ord(found[0]):04X}: {name!r}."
        )
    if _REPLACEMENT in name:
        raise InvalidNameError(
            f"A {what} must not contain U+FFFD, which stands for what some program could not read: {name!r}. Send the "
            f"name in UTF-8."
        )
    if not _FOLDERS.isdisjoint(name.split("/")):
        raise InvalidNameError(
            f"A {what} must not contain '.' or '..' between slashes, where clients of the web service would look for "
            f"another one: {name!r}."
        )
    return name


def check_name(what: str, name: str, max_length: int = MAX_NAME_LENGTH) -> str:
    """Return ``name`` if a source or a provider can have it.

    :param what: what the name is for, for the message.
    :raises InvalidNameError: it is not text, is not valid Unicode, is empty or too long (250 characters by default), or
        contains white space, characters that cannot be printed, or characters in Unicode's decomposed form.
    """
    if not isinstance(name, str):
        raise InvalidNameError(f"A {what} must be text, not {type(name).__name__}.")
    if not name:
        raise InvalidNameError(f"A {what} must not be empty.")
    if len(name) > max_length:
        raise InvalidNameError(
            f"A {what} has at most {max_length} characters; this one has {len(name)}: {name[:40]!r}…"
        )
    if not _is_encodable(name):
        raise InvalidNameError(f"A {what} must be text in UTF-8, which this is not: {name!r}.")
    if not name.isprintable() or _WHITE_SPACE.search(name):
        raise InvalidNameError(f"A {what} must not contain white space or control characters: {name!r}.")
    if not unicodedata.is_normalized("NFC", name):
        raise InvalidNameError(
            f"A {what} must be in Unicode's composed form (NFC), so that what looks the same is the same: {name!r}."
        )
    return name


def check_text(what: str, text: str) -> str:
    """Return ``text`` if it may serve as an owner, a reason, or a person's name.

    :raises InvalidInputError: it is not text, is blank, longer than 4,000 characters, or cannot be stored
        (NUL characters, halves of surrogate pairs).
    """
    if not isinstance(text, str):
        raise InvalidInputError(f"The {what} must be text, not {type(text).__name__}.")
    if not text.strip():
        raise InvalidInputError(f"The {what} must not be empty.")
    if len(text) > MAX_TEXT_LENGTH:
        raise InvalidInputError(
            f"The {what} has at most {MAX_TEXT_LENGTH} characters; this one has {len(text)}."
        )
    if "\x00" in text or not _is_encodable(text):
        raise InvalidInputError(f"The {what} holds characters that cannot be stored (NUL or broken Unicode).")
    return text


def escape_unstorable(text: str) -> str:
    """The text with an escape in place of each character that cannot be stored, as file names may contain them."""
    return text.replace("\x00", "\\x00").encode(errors="backslashreplace").decode()


def storable(text: str) -> str:
    """Another program's output as a reason that can be stored: escaped, and cut if it is too long."""
    return escape_unstorable(text)[:MAX_TEXT_LENGTH]


def check_number(what: str, number: int) -> int:
    """Return ``number`` if it may serve as a generation or a position.

    :raises InvalidInputError: it is not an integer of at most 64 bits.
    """
    if not isinstance(number, int) or isinstance(number, bool) or not -(2**63) <= number < 2**63:
        raise InvalidInputError(f"The {what} must be an integer of at most 64 bits.")
    return number


def check_limit(limit: int) -> int:
    """Return ``limit`` if it is a valid size of a page.

    :raises InvalidInputError: it is no integer from 1 to 10,000.
    """
    if not 1 <= check_number("limit", limit) <= LARGEST_PAGE:
        raise InvalidInputError(f"A page has 1 to {LARGEST_PAGE} entries, not {limit!r}.")
    return limit


def check_flag(what: str, flag: bool) -> bool:
    """Return ``flag`` if it is a boolean. Text is refused, since "false" would count as true.

    :raises InvalidInputError: it is neither True nor False.
    """
    if not isinstance(flag, bool):
        raise InvalidInputError(f"{what} is either true or false, not {flag!r}.")
    return flag


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
