"""Conditions as people write them: ``all(sales, clicks else 95% after 30m, stock[-1 day])``.

Text, and not objects, since text is the same for sensor, trigger, web service and command line: it can be a template,
is JSON as it stands, and is read aloud as it is meant. The grammar::

    condition   = term { "else" ( term | PERCENT ) [ "after" moment ] }
    term        = "all" "(" conditions ")" | "any" "(" conditions ")" | part
    conditions  = condition { "," condition } [ "," ]
    part        = source [ "[" [ grain ] [ SIGNED unit ] [ "last" NUMBER unit ] "]" ]
    source      = a name, in quotation marks if it holds ( ) [ ] , or is one of the words above
    moment      = a duration such as 90m, 2h or 1h30m | a time of day, HH:MM
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import time, timedelta
from fractions import Fraction
from typing import NoReturn

from airflow_provider_partition_registry.domain.conditions import (
    AllOf,
    Alternative,
    AnyOf,
    Condition,
    Part,
)
from airflow_provider_partition_registry.domain.grains import GRAINS
from airflow_provider_partition_registry.domain.invalid_input import InvalidInputError
from airflow_provider_partition_registry.domain.moments import read_duration
from airflow_provider_partition_registry.domain.spans import UNITS, Span, Step

MAX_LENGTH = 20_000
"""How many characters a condition has at most."""

_GROUPS = ("all", "any")
_RESERVED = (*_GROUPS, "else", "after")
_MARKS = ("(", ")", "[", "]", ",", "'", '"')
_QUOTE = " Put the name of a source in quotation marks if it is this word or has this character in it."
_DEEPEST = 20  # groups within each other
_SHOWN = 200  # characters of a condition in a message

_TOKEN = re.compile(r"""'[^']*'|"[^"]*"|[()\[\],]|[^\s()\[\],'"]+|\S""")
_PERCENTAGE = re.compile(r"[0-9.]+%")
_BELOW_ALL = re.compile(r"[0-9]{1,2}(\.[0-9]{1,2})?%")
_TIME_OF_DAY = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_NUMBER = re.compile(r"[0-9]{1,6}")
_SIGNED = re.compile(r"[+-][0-9]{1,6}")
_END = ""


def read_condition(text: str) -> Condition:
    """Read a condition.

    :raises InvalidInputError: the text is none; the message says where, and what would fit there.
    :raises InvalidNameError: the name of a source is not valid.
    """
    if not isinstance(text, str):
        raise InvalidInputError(f"A condition is text such as 'all(sales, stock[-1 day])', not {text!r}.")
    if len(text) > MAX_LENGTH:
        raise InvalidInputError(
            f"A condition has at most {MAX_LENGTH:,} characters; this one has {len(text):,}."
        )
    reader = _Reader(text)
    condition = reader.condition(0)
    reader.end()
    return condition


class _Reader:
    """Reads from left to right, one token ahead, and says where something does not fit."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_TOKEN.finditer(text))
        self._at = 0

    def condition(self, depth: int) -> Condition:
        """Read a condition.

        :param depth: within how many groups it stands.
        """
        found = self._term(depth)
        alternatives = [Alternative(found)]
        while self._takes("else"):
            found = self._partial(found) if _PERCENTAGE.fullmatch(self._ahead) else self._term(depth)
            alternatives.append(Alternative(found, self._moment() if self._takes("after") else None))
        return found if len(alternatives) == 1 else AnyOf(tuple(alternatives))

    def end(self) -> None:
        """Make sure that nothing follows."""
        if self._ahead != _END:
            self._refuse("'else' or the end; 'after' a time follows what stands in for something else")

    def _partial(self, of: Condition) -> Part:
        """A percentage, which means less of the source before it."""
        if not isinstance(of, Part):
            self._refuse("a percentage only after a single source")
        if not _BELOW_ALL.fullmatch(self._ahead) or not (percent := Fraction(self._ahead.removesuffix("%"))):
            self._refuse("more than 0% and less than 100%, to two decimals")
        self._at += 1
        return replace(of, enough=percent / 100)

    def _term(self, depth: int) -> Condition:
        if self._ahead in _GROUPS and self._is_followed_by("("):
            return self._group(depth + 1)
        if self._ahead in (_END, *_RESERVED, *_MARKS):
            self._refuse("a source, all( or any(")
        name = self._next()
        if name[0] in "'\"":
            name = name[1:-1]
        return Part(name, self._span() if self._takes("[") else None)

    def _group(self, depth: int) -> Condition:
        if depth > _DEEPEST:
            self._refuse(f"at most {_DEEPEST} groups within each other")
        group = self._next()
        self._require("(", "'('")
        conditions = [self.condition(depth)]
        while self._takes(",") and self._ahead != ")":
            conditions.append(self.condition(depth))
        self._require(")", "',', 'else' or ')'")
        if group == "all":
            return AllOf(tuple(conditions))
        return AnyOf(tuple(map(Alternative, conditions)))

    def _span(self) -> Span:
        grain = self._next() if self._ahead in GRAINS else None
        moved = self._step() if _SIGNED.fullmatch(self._ahead) else None
        last = self._last() if self._takes("last") else None
        span = Span(grain, moved, last)
        if span == Span():
            self._refuse(f"-1 day, +1 month, last 7 days, or one of {', '.join(GRAINS)}")
        self._require("]", "']'")
        return span

    def _last(self) -> Step:
        if not _NUMBER.fullmatch(self._ahead) or not int(self._ahead):
            self._refuse("a number such as 7")
        return self._step()

    def _step(self) -> Step:
        count = int(self._next())
        unit = self._ahead.removesuffix("s")
        if unit not in UNITS:
            self._refuse(f"one of {', '.join(f'{each}s' for each in UNITS)}")
        self._at += 1
        return Step(count, unit)

    def _moment(self) -> timedelta | time:
        if clock := _TIME_OF_DAY.fullmatch(self._ahead):
            self._at += 1
            return time(int(clock[1]), int(clock[2]))
        try:
            moment = read_duration(self._ahead)
        except InvalidInputError:
            self._refuse("a duration such as 30m, 2h or 1h30m, or a time of day such as 08:00")
        self._at += 1
        return moment

    @property
    def _ahead(self) -> str:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else _END

    def _next(self) -> str:
        token = self._ahead
        self._at += 1
        return token

    def _takes(self, token: str) -> bool:
        if self._ahead != token:
            return False
        self._at += 1
        return True

    def _require(self, token: str, expected: str) -> None:
        if not self._takes(token):
            self._refuse(expected)

    def _is_followed_by(self, token: str) -> bool:
        return self._at + 1 < len(self._tokens) and self._tokens[self._at + 1][0] == token

    def _refuse(self, expected: str) -> NoReturn:
        where, hint = "at its end", ""
        if self._at < len(self._tokens):
            found = self._tokens[self._at]
            where = f"at {found[0][:_SHOWN]!r} (character {found.start() + 1})"
            hint = _QUOTE if found[0] in (*_RESERVED, *_MARKS) else ""
        shown = self._text if len(self._text) <= _SHOWN else f"{self._text[: _SHOWN - 1]}…"
        raise InvalidInputError(f"The condition {shown!r} cannot be read {where}: expected {expected}.{hint}")
