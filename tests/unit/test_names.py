"""What is valid as a name, as free text, as a number."""

from __future__ import annotations

import unicodedata

import pytest

from airflow_provider_partition_registry.domain.display import visible
from airflow_provider_partition_registry.domain.errors import InvalidInputError, InvalidNameError
from airflow_provider_partition_registry.domain.names import (
    check_name,
    check_new_name,
    check_number,
    check_text,
    storable,
)


@pytest.mark.parametrize(
    "name", ["a", "x" * 250, "bucket/a b".replace(" ", "-"), "Größe", "データ", "a'b\"c;--%", "0"]
)
def test_names(name: str) -> None:
    assert check_name("source name", name) == name


@pytest.mark.parametrize(
    "name",
    [
        *["", " ", "a b", " a", "a ", "a\n", "a\tb", "a\u00a0b", "a\u2003b"],
        *["a\x00b", "\x7f", "\u200b", "\u202e", "\ud800", "gr\udcfcn", "x" * 251, "u\u0308"],
        *[None, 1, b"a", ["a"]],
    ],
    ids=ascii,
)
def test_invalid_names_are_refused(name) -> None:
    with pytest.raises(InvalidNameError, match="source name") as caught:
        check_name("source name", name)
    assert len(str(caught.value)) < 200
    str(caught.value).encode()


@pytest.mark.parametrize(
    "name",
    [
        *["a", "Größe", "データ", "हिन्दी", "ไทย", "한국어", "😀", "\u2801"],
        *["s3://bucket/a..b/.c", "...", "a.b", "a%2Fb"],
    ],
    ids=ascii,
)
def test_new_names(name: str) -> None:
    assert check_new_name("source name", name) == name


@pytest.mark.parametrize(
    ("name", "said"),
    [
        *[
            (name, "invisible characters")
            for name in (
                *("\u2800", "a\u2800", "\u3164", "a\u3164b", "\uffa0", "\u115f", "a\u034fb"),
                *("a\ufe0f", "\ufe00", "\u2764\ufe0f", "a\u180b", "\u17b4", "a\U000e0100"),
                *("\U0001d159", "\U00016fe4"),
            )
        ],
        ("gr\ufffdn", "U\\+FFFD"),
        *[(name, "between slashes") for name in (".", "..", "a/../b", "../a", "a/.", "/./")],
    ],
    ids=ascii,
)
def test_names_that_can_be_taken_for_others_are_found_but_not_given(name: str, said: str) -> None:
    """An older Python considers some of them unprintable, and refuses them for that reason."""
    with pytest.raises(InvalidNameError, match=f"{said}|control characters") as caught:
        check_new_name("source name", name)
    assert len(str(caught.value)) < 200
    if name.isprintable():
        assert check_name("source name", name) == name


def test_no_name_is_made_of_what_unicode_lets_programs_ignore() -> None:
    """The list is Default_Ignorable_Code_Point of Unicode 16; what derives from other properties is computed here."""
    others = {0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2065, 0x3164, 0xFFA0, *range(0xFFF0, 0xFFF9)}
    variants = {*range(0x180B, 0x180E), 0x180F, *range(0xFE00, 0xFE10), *range(0xE0000, 0xE1000)}
    formats = {code for code in range(0x110000) if unicodedata.category(chr(code)) == "Cf"}
    for code in others | variants | formats:
        with pytest.raises(InvalidNameError):
            check_new_name("source name", f"a{chr(code)}b")


def test_an_identity_may_be_longer() -> None:
    assert check_name("holder identity", "x" * 2_000, 2_000)
    with pytest.raises(InvalidNameError, match="at most 2000"):
        check_name("holder identity", "x" * 2_001, 2_000)


@pytest.mark.parametrize("text", ["a", "two words", "lines\nof\ttext", "Größe 🙂", "x" * 4_000])
def test_texts(text: str) -> None:
    assert check_text("reason", text) == text


@pytest.mark.parametrize("text", ["", "  ", "\n", "a\x00", "\ud800", "x" * 4_001, None, 1, b"a"], ids=ascii)
def test_invalid_texts_are_refused(text) -> None:
    with pytest.raises(InvalidInputError, match="reason"):
        check_text("reason", text)


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("lines\nof Größe 🙂", "lines\nof Größe 🙂"),
        ("a\x00b", "a\\x00b"),
        ("gr\udcfcn \ud800", "gr\\udcfcn \\ud800"),
        ("\udcfc" * 4_000, "\\udcfc" * 666 + "\\udc"),
    ],
    ids=["as it is", "NUL", "halves of pairs", "too long only when escaped"],
)
def test_texts_of_other_programs(text: str, stored: str) -> None:
    assert check_text("reason", storable(text)) == stored


@pytest.mark.parametrize("number", [0, 1, -1, 2**63 - 1, -(2**63)])
def test_numbers(number: int) -> None:
    assert check_number("position", number) == number


@pytest.mark.parametrize(
    "number", [None, True, "1", 1.0, 2**63, -(2**63) - 1, 10**5000, [1], b"1"], ids=lambda n: str(type(n))
)
def test_invalid_numbers_are_refused(number) -> None:
    with pytest.raises(InvalidInputError, match="position"):
        check_number("position", number)


def test_what_cannot_be_printed_is_shown_as_its_escape() -> None:
    assert visible("a b\n\x1b[31m\u202e\xe4") == "a b\\n\\x1b[31m\\u202e\xe4"
