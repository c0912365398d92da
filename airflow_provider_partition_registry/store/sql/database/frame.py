"""What begins and ends a transaction in PostgreSQL travels with its statements, which saves two round trips."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import Connection

SEPARATOR = ";\n"
"""Between statements that are sent together."""

_FRAME = "frame"  # in a connection's info


class Frame:
    """The BEGIN and the COMMIT around the statements of a transaction.

    :param mode: of the transaction, as BEGIN names it.

    ``is_committing`` says whether COMMIT has been sent.
    """

    def __init__(self, connection: Connection, mode: str) -> None:
        self.is_committing = False
        self._begin = f"BEGIN {mode}{SEPARATOR}"
        self._is_begun = False
        self._is_open = True
        self._commits_with_next = False
        connection.info[_FRAME] = self

    def end(self) -> bool:
        """Add nothing to statements any more, and return whether BEGIN has been sent."""
        self._is_open = False
        return self._is_begun

    def commit_with_next(self) -> None:
        self._commits_with_next = True

    def around(self, statement: str) -> str:
        """What to send in place of a statement."""
        if not self._is_open:
            return statement
        if not self._is_begun:
            self._is_begun = True
            statement = f"{self._begin}{statement}"
        if self._commits_with_next:
            self.is_committing = True
            statement = f"{statement}{SEPARATOR}COMMIT"
        return statement


def commit_with_next(connection: Connection) -> None:
    """Send COMMIT along with the next statement of the transaction, which is its last; its result is not told.

    On SQLite, which takes one statement at a time, COMMIT is sent by itself.
    """
    frame: Frame | None = connection.info.get(_FRAME)
    if frame is not None:
        frame.commit_with_next()


def send_frame_along(
    connection: Connection, _cursor: object, statement: str, parameters: Any, _context: object, _many: bool
) -> tuple[str, Any]:
    """Listens to ``before_cursor_execute``."""
    frame: Frame | None = connection.info.get(_FRAME)
    return (frame.around(statement) if frame else statement), parameters
