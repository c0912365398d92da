"""Access tokens (R10): handed out once, kept only as a hash, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import NamedTuple

PREFIX = "prs"  # lets scanners for leaked secrets recognise a token
HASH_OF_NOTHING = "0" * 64
"""Compared with where there is no token, so that the comparison takes the same time."""
_OWN_FORM = re.compile(rf"{PREFIX}_[0-9a-f]{{16}}_[A-Za-z0-9_-]{{43}}")


class NewToken(NamedTuple):
    """A new token: the text for its owner, and what the registry keeps of it."""

    text: str
    id: str
    secret_hash: str


def create_token() -> NewToken:
    """Make a token: an identifier to look it up by, and 256 random bits that nobody can guess."""
    token_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    return NewToken(f"{PREFIX}_{token_id}_{secret}", token_id, hash_secret(secret))


def is_of_own_form(text: str) -> bool:
    """Whether this may be a token that the registry made, not one that a person chose."""
    return _OWN_FORM.fullmatch(text) is not None


def split_token(text: str) -> tuple[str, str]:
    """The identifier and the secret of a token. If it is not a token both are empty, and match nothing."""
    if not isinstance(text, str) or text.count("_") < 2:
        return "", ""
    prefix, token_id, secret = text.split("_", 2)
    if prefix != PREFIX or not text.isascii() or not text.isprintable():
        return "", ""
    return token_id, secret


def hash_secret(secret: str) -> str:
    """The hash of a secret, which is all that is kept. Random secrets of this length need no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def is_secret(secret: str, secret_hash: str) -> bool:
    """Whether the secret matches the hash, compared in constant time."""
    return hmac.compare_digest(hash_secret(secret), secret_hash)
