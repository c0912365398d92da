"""URIs: the real address of a source's data, and the asset that a source is to Airflow."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote, urlsplit

from airflow_provider_partition_registry.domain.invalid_input import InvalidInputError
from airflow_provider_partition_registry.domain.names import check_name

MAX_URI_LENGTH = 1_500  # of an asset in Airflow
ASSET_SCHEME = "partition-registry"

_SCHEME_AND_PLACE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[!-~]+")


def check_uri(uri: str) -> str:
    """Return ``uri`` if it may serve as the real address of a source's data: ``s3://bucket/sales``.

    Everybody who may read sees it, so it holds nothing that gives access: neither user nor password, nor a query, in
    which signatures travel. No error quotes it.

    :raises InvalidInputError: it is not ``scheme://`` and a place in printable ASCII, is longer than 1,500 characters,
        has a user, a password, a query or a fragment, or is the address of a source in a registry.
    """
    if not isinstance(uri, str):
        raise InvalidInputError(f"The uri must be text, not {type(uri).__name__}.")
    if len(uri) > MAX_URI_LENGTH:
        raise InvalidInputError(f"The uri has at most {MAX_URI_LENGTH} characters; this one has {len(uri)}.")
    if not _is_address(uri):
        raise InvalidInputError(
            "The uri is the address of a source's data, such as s3://bucket/sales or postgres://host/db/schema/table: "
            "a scheme, '://' and a place. Percent-encode white space and what is not ASCII."
        )
    parts = urlsplit(uri)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise InvalidInputError(
            "The uri must not contain a user, a password, a query or a fragment, as everybody who may read sees it. "
            "Give the address of the data alone."
        )
    if parts.scheme == ASSET_SCHEME:
        raise InvalidInputError(
            f"The uri is the address of the data outside the registry; {ASSET_SCHEME}:// addresses the source itself."
        )
    return uri


def check_uri_or_none(uri: str | None) -> str | None:
    """Return ``uri`` if it is None, or as :func:`check_uri`.

    :raises InvalidInputError: as there.
    """
    return None if uri is None else check_uri(uri)


def _is_address(uri: str) -> bool:
    try:
        # Reading the port checks it.
        return bool(_SCHEME_AND_PLACE.fullmatch(uri)) and urlsplit(uri).port != 0
    except ValueError:  # such as half an IPv6 address
        return False


def asset_uri(source_name: str) -> str:
    """The URI of the asset that a source is to Airflow: ``partition-registry://shop.sales``.

    :raises InvalidNameError: no source can have this name.
    """
    return f"{ASSET_SCHEME}://{quote(check_name('source name', source_name), safe='')}"


def source_of_asset(uri: str) -> str:
    """The source's name in the URI of its asset, also in one that was written by hand with plain slashes.

    :raises InvalidInputError: it is no such URI.
    """
    parts = urlsplit(uri)
    if parts.scheme != ASSET_SCHEME or not parts.netloc or parts.query or parts.fragment:
        raise InvalidInputError(
            f"{uri!r} is not {ASSET_SCHEME}:// and the name of a source. Percent-encode what is special in a URI."
        )
    return check_name("source name", unquote(parts.netloc + parts.path.rstrip("/")))
