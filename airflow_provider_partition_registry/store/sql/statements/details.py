"""A condition: whether a JSON column holds what the registry writes there, a mapping of texts to texts."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class MapsTexts(FunctionElement):
    """Condition: the column is a JSON object whose values are strings."""

    name = "maps_texts"
    type = Boolean()
    inherit_cache = True


# Most rows have no details at all; only the others are worth parsing.
_ON_POSTGRESQL = """CASE WHEN CAST({column} AS TEXT) = '{{}}' THEN true
WHEN json_typeof({column}) <> 'object' THEN false ELSE NOT EXISTS (
    SELECT 1 FROM json_each({column}) AS entry WHERE json_typeof(entry.value) <> 'string'
) END"""

# A column of SQLite accepts any text, and its JSON functions fail on text that is not JSON.
_ON_SQLITE = """CASE WHEN json_valid({column}) IS NOT 1 THEN 0
WHEN json_type({column}) <> 'object' THEN 0 ELSE NOT EXISTS (
    SELECT 1 FROM json_each({column}) AS entry WHERE entry.type <> 'text'
) END"""


@compiles(MapsTexts, "postgresql")
def _on_postgresql(element: MapsTexts, compiler: Any, **options: Any) -> str:
    return _ON_POSTGRESQL.format(column=compiler.process(element.clauses, **options))


@compiles(MapsTexts, "sqlite")
def _on_sqlite(element: MapsTexts, compiler: Any, **options: Any) -> str:
    return _ON_SQLITE.format(column=compiler.process(element.clauses, **options))
