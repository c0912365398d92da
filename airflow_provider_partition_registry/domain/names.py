"""What may serve as a name, as free text or as a number. Checked before anything reaches a store."""

from __future__ import annotations

import re
import unicodedata

from airflow_provider_partition_registry.domain.errors import InvalidInputError, InvalidNameError

MAX_NAME_LENGTH = 250
MAX_IDENTITY_LENGTH = 2_000  # an Airflow identity joins several names of up to 250 characters each
MAX_TEXT_LENGTH = 4_000
LARGEST_PAGE = 10_000

_WHITE_SPACE = re.compile(r"\s")


def check_name(what: str, name: str, max_length: int = MAX_NAME_LENGTH) -> str:
    """Return ``name`` if it may name a source or provider.

    :param what: what it names, for the message.
    :raises InvalidNameError: it is not text, is empty, too long (250 characters unless told), or holds white
        space, characters that cannot be printed, or characters in Unicode's decomposed form.
    """
    if not isinstance(name, str):
        raise InvalidNameError(f"A {what} must be text, not {type(name).__name__}.")
    if not name:
        raise InvalidNameError(f"A {what} must not be empty.")
    if len(name) > max_length:
        raise InvalidNameError(
            f"A {what} has at most {max_length} characters; this one has {len(name)}: {name[:40]!r}…"
        )
    if not name.isprintable() or _WHITE_SPACE.search(name):
        raise InvalidNameError(f"A {what} must not hold white space or control characters: {name!r}.")
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


def check_number(what: str, number: int) -> int:
    """Return ``number`` if it may serve as a generation or a position.

    :raises InvalidInputError: it is not an integer of at most 64 bits.
    """
    if not isinstance(number, int) or isinstance(number, bool) or not -(2**63) <= number < 2**63:
        raise InvalidInputError(f"The {what} must be an integer of at most 64 bits.")
    return number


def check_limit(limit: int) -> int:
    """Return ``limit`` if it may say how much of a list is answered at once.

    :raises InvalidInputError: it is no integer from 1 to 10,000.
    """
    if not 1 <= check_number("limit", limit) <= LARGEST_PAGE:
        raise InvalidInputError(f"A page has 1 to {LARGEST_PAGE} entries, not {limit!r}.")
    return limit


def check_flag(what: str, flag: bool) -> bool:
    """Return ``flag`` if it is one; text such as "false" would count as true.

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
