"""A mail server that keeps what it receives."""

from __future__ import annotations

import email
import email.policy
import json
import socketserver
from html import unescape
from typing import TYPE_CHECKING

from testbed.on_thread import OnThread

if TYPE_CHECKING:
    from email.message import EmailMessage


class MailServer(OnThread):
    """Takes mail for anybody, without encryption and passwords, for the length of a ``with`` block.

    ``received`` is what has come, in order.
    """

    def __init__(self) -> None:
        self.received: list[EmailMessage] = []
        received = self.received

        class Conversation(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self._answer("220 ready")
                for line in self.rfile:
                    match line.split(maxsplit=1)[0].upper():
                        case b"DATA":
                            self._answer("354 go on")
                            received.append(self._message())
                            self._answer("250 kept")
                        case b"QUIT":
                            self._answer("221 bye")
                            return
                        case _:
                            self._answer("250 ok")

            def _message(self) -> EmailMessage:
                lines = []
                while (line := self.rfile.readline()) not in (b".\r\n", b""):
                    lines.append(line.removeprefix(b"."))
                return email.message_from_bytes(b"".join(lines), policy=email.policy.default)

            def _answer(self, text: str) -> None:
                self.wfile.write(f"{text}\r\n".encode())

        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Conversation)
        server.daemon_threads = True
        super().__init__(server)
        self._port: int = server.server_address[1]

    @property
    def connection(self) -> str:
        """An Airflow connection to it."""
        extra = {"disable_ssl": True, "disable_tls": True}
        return json.dumps({"conn_type": "smtp", "host": "127.0.0.1", "port": self._port, "extra": extra})


def text_of(letter: EmailMessage) -> str:
    """Everything that can be read in a letter."""
    parts = (part.get_content() for part in letter.walk() if part.get_content_maintype() == "text")
    return unescape("".join(parts))
