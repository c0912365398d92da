"""The real address of a source's data, and the URI of the asset that a source is."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.domain.names import check_name
from airflow_provider_partition_registry.domain.uris import (
    MAX_URI_LENGTH,
    asset_uri,
    check_uri,
    source_of_asset,
)


@pytest.mark.parametrize(
    "uri",
    [
        *["s3://bucket/sales", "s3://bucket", "gs://bucket/a%20b/", "file:///data/sales", "S3://Bucket/x"],
        *["postgres://host/db/schema/table", "postgres://host:5433/db/schema/table", "https://[::1]:80/x"],
        *["bigquery://project/dataset/table", "x+y-z.1://place", "s3://" + "x" * (MAX_URI_LENGTH - 5)],
    ],
)
def test_addresses(uri: str) -> None:
    assert check_uri(uri) == uri


@pytest.mark.parametrize(
    "uri",
    [
        *[
            "",
            "sales",
            "bucket/sales",
            "s3:",
            "s3://",
            "s3:bucket",
            "//bucket/sales",
            "1s3://bucket",
            "s3 ://bucket",
        ],
        *["s3://a b", "s3://a\n", "s3://a\x00", "s3://größe", "s3://\u200b", "\ud800", " s3://bucket"],
        *["http://[::1", "http://host:port/x", "http://host:99999/x", "s3://" + "x" * MAX_URI_LENGTH],
        *[None, 1, b"s3://bucket", ["s3://bucket"]],
    ],
    ids=ascii,
)
def test_what_is_no_address_is_refused(uri) -> None:
    with pytest.raises(InvalidInputError, match="uri"):
        check_uri(uri)


@pytest.mark.parametrize(
    "uri",
    [
        *[
            "postgres://ann:secret@host/db",
            "postgres://secret@host/db",
            "postgres://:secret@host",
            "s3://@secret",
        ],
        *["https://host/x?sig=secret", "https://host/x#secret", "https://host/?secret"],
    ],
)
def test_what_gives_access_is_refused_and_not_quoted(uri: str) -> None:
    with pytest.raises(InvalidInputError, match="must not contain a user") as caught:
        check_uri(uri)
    assert "secret" not in str(caught.value)


def test_a_source_is_not_its_own_address() -> None:
    with pytest.raises(InvalidInputError, match="outside the registry"):
        check_uri("Partition-Registry://shop.sales")


def is_name(text: str) -> bool:
    try:
        return bool(check_name("source name", text))
    except InvalidInputError:
        return False


@pytest.mark.parametrize(
    ("source_name", "uri"),
    [
        ("shop.sales", "partition-registry://shop.sales"),
        ("s3://bucket/prefix/", "partition-registry://s3%3A%2F%2Fbucket%2Fprefix%2F"),
        ("Größe", "partition-registry://Gr%C3%B6%C3%9Fe"),
        ("100%@[?#", "partition-registry://100%25%40%5B%3F%23"),
    ],
)
def test_the_asset_of_a_source(source_name: str, uri: str) -> None:
    assert asset_uri(source_name) == uri
    assert source_of_asset(uri) == source_name


@given(st.text(min_size=1, max_size=40).filter(is_name))
def test_every_name_comes_back(source_name: str) -> None:
    uri = asset_uri(source_name)
    assert uri.isascii()
    assert source_of_asset(uri) == source_name


@pytest.mark.parametrize(
    ("uri", "source_name"),
    [
        ("partition-registry://bucket/sales", "bucket/sales"),
        ("partition-registry://shop.sales/", "shop.sales"),
        ("PARTITION-REGISTRY://Shop.Sales", "Shop.Sales"),
    ],
)
def test_as_people_write_it(uri: str, source_name: str) -> None:
    assert source_of_asset(uri) == source_name


@pytest.mark.parametrize(
    "uri",
    [
        *["s3://bucket", "shop.sales", "partition-registry:shop.sales", "partition-registry:///sales"],
        *["partition-registry://", "partition-registry://a?b=c", "partition-registry://a#b"],
        *["partition-registry://a%20b", "partition-registry://%00"],
    ],
)
def test_what_names_no_source(uri: str) -> None:
    with pytest.raises(InvalidInputError):
        source_of_asset(uri)
