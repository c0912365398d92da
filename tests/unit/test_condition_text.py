"""Conditions as text: what they mean, and what is said about those that cannot be read."""

from __future__ import annotations

from contextlib import suppress
from datetime import time, timedelta
from fractions import Fraction

import pytest
from hypothesis import given, strategies as st

from airflow_provider_partition_registry.domain.condition_text import MAX_LENGTH, read_condition
from airflow_provider_partition_registry.domain.conditions import (
    AllOf,
    Alternative,
    AnyOf,
    Condition,
    Part,
)
from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.domain.spans import UNITS, Span, Step

WORDS = ("all", "any", "else", "after", "last", "hour", "day", "week", "month", "95%", "-1", "2h", "08:00")


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("sales", Part("sales")),
        ("  sales\n", Part("sales")),
        ("'all'", Part("all")),
        ("\"s3://b/x,'1'[2]\"", Part("s3://b/x,'1'[2]")),
        ("last", Part("last")),
        ("all(sales)", AllOf((Part("sales"),))),
        ("all(sales, clicks,)", AllOf((Part("sales"), Part("clicks")))),
        ("any(sales,clicks)", AnyOf((Alternative(Part("sales")), Alternative(Part("clicks"))))),
        (
            "sales else early after 1h30m",
            AnyOf((Alternative(Part("sales")), Alternative(Part("early"), timedelta(hours=1, minutes=30)))),
        ),
        (
            "sales else early after 08:00 else 'after' after 1d",
            AnyOf(
                (
                    Alternative(Part("sales")),
                    Alternative(Part("early"), time(8)),
                    Alternative(Part("after"), timedelta(days=1)),
                )
            ),
        ),
        (
            "sales[-1 day] else 99.5% else 80% after 2h",
            AnyOf(
                (
                    Alternative(Part("sales", Span(moved=Step(-1, "day")))),
                    Alternative(Part("sales", Span(moved=Step(-1, "day")), Fraction(199, 200))),
                    Alternative(
                        Part("sales", Span(moved=Step(-1, "day")), Fraction(4, 5)), timedelta(hours=2)
                    ),
                )
            ),
        ),
        ("sales[+2 weeks]", Part("sales", Span(moved=Step(2, "week")))),
        ("sales[last 7 days]", Part("sales", Span(last=Step(7, "day")))),
        ("sales[month]", Part("sales", Span("month"))),
        ("sales[month -1 year]", Part("sales", Span("month", Step(-1, "year")))),
        ("sales[ -1 day last 7 days ]", Part("sales", Span(None, Step(-1, "day"), Step(7, "day")))),
        (
            "all(sales, any(clicks, views) else guess after 2h, stock[-1 day])",
            AllOf(
                (
                    Part("sales"),
                    AnyOf(
                        (
                            Alternative(AnyOf((Alternative(Part("clicks")), Alternative(Part("views"))))),
                            Alternative(Part("guess"), timedelta(hours=2)),
                        )
                    ),
                    Part("stock", Span(moved=Step(-1, "day"))),
                )
            ),
        ),
    ],
)
def test_meaning(text: str, condition: Condition) -> None:
    assert read_condition(text) == condition


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "cannot be read at its end: expected a source, all( or any(."),
        ("all(", "at its end: expected a source, all( or any(."),
        ("all()", "at ')' (character 5): expected a source, all( or any(. Put the name of a source in quotation"),
        ("all(a b)", "at 'b' (character 7): expected ',', 'else' or ')'."),
        ("all a", "at 'all' (character 1): expected a source, all( or any(. Put"),
        ("a b", "at 'b' (character 3): expected 'else' or the end"),
        ("a, b", "at ',' (character 2): expected 'else' or the end"),
        ("a after 2h", "at 'after' (character 3): expected 'else' or the end; 'after' a time follows"),
        ("a else", "at its end: expected a source, all( or any(."),
        ("a else after 2h", "at 'after' (character 8): expected a source"),
        ("a else b after", "at its end: expected a duration such as 30m, 2h or 1h30m, or a time of day such as 08:00."),
        ("a else b after soon", "at 'soon' (character 16): expected a duration"),
        ("a else b after 0m", "at '0m' (character 16): expected a duration"),
        ("a else b after 24:00", "at '24:00' (character 16): expected a duration"),
        ("a else b after ٢h", "at '٢h' (character 16): expected a duration"),
        ("a else 0%", "at '0%' (character 8): expected more than 0% and less than 100%, to two decimals."),
        ("a else 100%", "at '100%' (character 8): expected more than 0%"),
        ("a else 99.999%", "at '99.999%' (character 8): expected more than 0%"),
        ("a else 9.9.9%", "at '9.9.9%' (character 8): expected more than 0%"),
        ("all(a) else 95%", "at '95%' (character 13): expected a percentage only after a single source."),
        ("a[", "at its end: expected -1 day, +1 month, last 7 days, or one of hour, day, week, month."),
        ("a[]", "at ']' (character 3): expected -1 day"),
        ("a[1 day]", "at '1' (character 3): expected -1 day"),
        ("a[-1 dya]", "at 'dya' (character 6): expected one of hours, days, weeks, months, years."),
        ("a[last 0 days]", "at '0' (character 8): expected a number such as 7."),
        ("a[last days]", "at 'days' (character 8): expected a number such as 7."),
        ("a[day", "at its end: expected ']'."),
        ("a'b", "at \"'\" (character 2): expected 'else' or the end"),
        ("'a", "at \"'\" (character 1): expected a source"),
        ("''", "must not be empty"),
        ("a\x00b", "must not contain white space or control characters"),
        ("(" * 50, "at '(' (character 1): expected a source"),
        ("all(" * 30 + "a" + ")" * 30, "expected at most 20 groups within each other"),
        ("a" * (MAX_LENGTH + 1), "at most 20,000 characters"),
        ("a" * MAX_LENGTH, "at most 250 characters"),
        (None, "A condition is text such as"),
        (["sales"], "A condition is text such as"),
    ],
)  # fmt: skip
def test_errors_say_where_and_what_would_fit(text: str, told: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_condition(text)
    assert told in caught.value.message


def test_a_long_condition_is_cut_in_its_error() -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_condition(f"all({', '.join('source' for _ in range(1_000))}")
    assert len(caught.value.message) < 500


names = st.one_of(
    st.sampled_from(["sales", "s3://bucket/day", *WORDS]),
    st.text("ab().,[]-%:/'é", min_size=1, max_size=8),
)
steps = st.tuples(st.integers(1, 999_999), st.sampled_from(UNITS))
moments = st.one_of(
    st.none(),
    st.builds(timedelta, minutes=st.integers(1, 10_000)),
    st.builds(time, st.integers(0, 23), st.integers(0, 59)),
)


@st.composite
def spans(draw: st.DrawFn) -> Span | None:
    grain = draw(st.sampled_from([None, "hour", "day", "week", "month"]))
    moved = draw(st.one_of(st.none(), steps.map(lambda each: Step(-each[0], each[1]))))
    last = draw(st.one_of(st.none(), steps.map(lambda each: Step(*each))))
    span = Span(grain, moved, last)
    return None if span == Span() else span


parts = st.builds(Part, names, spans())


@st.composite
def chains(draw: st.DrawFn, inner: st.SearchStrategy[Condition]) -> Condition:
    """What stands beside ``else``; a chain of one is written without it, and a chain is no part of another one."""
    found = [Alternative(draw(inner))]
    for _ in range(draw(st.integers(1, 3))):
        before = found[-1].condition
        if isinstance(before, Part) and draw(st.booleans()):
            enough = Fraction(draw(st.integers(1, 9_999)), 10_000)
            found.append(Alternative(Part(before.source_name, before.span, enough), draw(moments)))
        else:
            found.append(Alternative(draw(inner), draw(moments)))
    return AnyOf(tuple(found))


def groups(inner: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    several = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        several.map(lambda each: AllOf(tuple(each))),
        several.map(lambda each: AnyOf(tuple(map(Alternative, each)))),
        chains(inner).map(lambda each: AllOf((each,))),
    )


def written(condition: Condition) -> str:
    """A condition as somebody would write it."""
    if isinstance(condition, Part):
        return written_part(condition)
    if isinstance(condition, AllOf):
        return f"all({', '.join(map(written, condition.conditions))})"
    alternatives = condition.alternatives
    if all(each.after is None and not is_partial(each.condition) for each in alternatives):
        return f"any({', '.join(written(each.condition) for each in alternatives)})"
    return " else ".join(map(written_alternative, alternatives))


def is_partial(condition: Condition) -> bool:
    return isinstance(condition, Part) and condition.enough < 1


def written_alternative(alternative: Alternative) -> str:
    after = alternative.after
    if isinstance(after, time):
        return f"{written(alternative.condition)} after {after:%H:%M}"
    if after is not None:
        return f"{written(alternative.condition)} after {after // timedelta(minutes=1)}m"
    return written(alternative.condition)


def written_part(part: Part) -> str:
    if part.enough < 1:
        return f"{float(part.enough * 100):.2f}%"
    name = part.source_name
    if name in WORDS or set(name) & set("()[],'"):
        name = f'"{name}"'
    return name if part.span is None else f"{name}[{' '.join(written_span(part.span))}]"


def written_span(span: Span) -> list[str]:
    found = [] if span.grain is None else [span.grain]
    if span.moved is not None:
        found.append(f"{span.moved.count:+} {span.moved.unit}s")
    if span.last is not None:
        found.append(f"last {span.last.count} {span.last.unit}")
    return found


@given(st.recursive(parts, groups, max_leaves=8))
def test_what_is_written_is_read(condition: Condition) -> None:
    assert read_condition(written(condition)) == condition


@given(st.lists(st.sampled_from([*WORDS, *"()[],", "sales", "'", '"', " "]), max_size=12).map(" ".join))
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    with suppress(InvalidInputError):
        read_condition(text)
