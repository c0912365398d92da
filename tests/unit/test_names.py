"""What may serve as a name, as free text, as a number."""

from __future__ import annotations

import pytest

from airflow_provider_partition_registry.domain.errors import InvalidInputError, InvalidNameError
from airflow_provider_partition_registry.domain.names import check_name, check_number, check_text


@pytest.mark.parametrize(
    "name", ["a", "x" * 250, "bucket/a b".replace(" ", "-"), "Größe", "データ", "a'b\"c;--%", "0"]
)
def test_names(name: str) -> None:
    assert check_name("source name", name) == name


@pytest.mark.parametrize(
    "name",
    [
        *["", " ", "a b", " a", "a ", "a\n", "a\tb", "a\u00a0b", "a\u2003b"],
        *["a\x00b", "\x7f", "\u200b", "\u202e", "\ud800", "x" * 251],
        *[None, 1, b"a", ["a"]],
    ],
    ids=ascii,
)
def test_no_names(name) -> None:
    with pytest.raises(InvalidNameError, match="source name") as caught:
        check_name("source name", name)
    assert len(str(caught.value)) < 200
    str(caught.value).encode()


def test_an_identity_may_be_longer() -> None:
    assert check_name("holder identity", "x" * 2_000, 2_000)
    with pytest.raises(InvalidNameError, match="at most 2000"):
        check_name("holder identity", "x" * 2_001, 2_000)


@pytest.mark.parametrize("text", ["a", "two words", "lines\nof\ttext", "Größe 🙂", "x" * 4_000])
def test_texts(text: str) -> None:
    assert check_text("reason", text) == text


@pytest.mark.parametrize("text", ["", "  ", "\n", "a\x00", "\ud800", "x" * 4_001, None, 1, b"a"], ids=ascii)
def test_no_texts(text) -> None:
    with pytest.raises(InvalidInputError, match="reason"):
        check_text("reason", text)


@pytest.mark.parametrize("number", [0, 1, -1, 2**63 - 1, -(2**63)])
def test_numbers(number: int) -> None:
    assert check_number("position", number) == number


@pytest.mark.parametrize(
    "number", [None, True, "1", 1.0, 2**63, -(2**63) - 1, 10**5000, [1], b"1"], ids=lambda n: str(type(n))
)
def test_no_numbers(number) -> None:
    with pytest.raises(InvalidInputError, match="position"):
        check_number("position", number)
