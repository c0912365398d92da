"""A network that loses a connection when the test says so."""

from __future__ import annotations

import select
import socket
import socketserver
import threading
from typing import Any, cast

from testbed.on_thread import OnThread

AT_MOST = 65_536


class LosingProxy(OnThread):
    """Passes on what clients and a server on 127.0.0.1 send each other, for the length of a ``with`` block.

    ``port`` is where clients connect, ``connections`` how many they have opened, ``clients`` those that still exist.

    :param server_port: of the server behind it
    """

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self.connections = 0
        self.clients: set[socket.socket] = set()
        self._mark: bytes | None = None
        self._delivers = False
        self._swallowed: bytes | None = None
        self._is_open = threading.Event()
        self._is_open.set()
        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), cast("Any", self._pass_on))
        server.daemon_threads = True
        super().__init__(server)
        self.port = server.server_address[1]

    @property
    def is_armed(self) -> bool:
        """Whether it still waits for the message at which to lose a connection."""
        return self._mark is not None

    def lose(self, mark: bytes, *, after_delivery: bool) -> None:
        """Lose the connection on which the next message with these bytes is sent, once.

        :param after_delivery: the server gets the message and responds to it; only its response is lost
        """
        self._mark, self._delivers = mark, after_delivery

    def swallow(self, mark: bytes) -> None:
        """Drop all messages with these bytes, as a pooler does whose connections are all taken."""
        self._swallowed = mark

    def hold(self) -> None:
        """Let clients connect and send, but hold their messages back until :meth:`release`."""
        self._is_open.clear()

    def release(self) -> None:
        self._is_open.set()

    def _pass_on(self, client: socket.socket, *_: object) -> None:
        self.connections += 1
        self.clients.add(client)
        try:
            self._pass_messages_on(client)
        finally:
            self.clients.discard(client)

    def _pass_messages_on(self, client: socket.socket) -> None:
        is_losing = False
        with client, socket.create_connection(("127.0.0.1", self._server_port)) as server:
            others = {client: server, server: client}
            while True:
                for sender in select.select(list(others), [], [])[0]:
                    message = sender.recv(AT_MOST)
                    self._is_open.wait()
                    if not message or (is_losing and sender is server):
                        return
                    if sender is client and self._mark is not None and self._mark in message:
                        self._mark = None
                        is_losing = True
                        if not self._delivers:
                            return
                    if sender is server or self._swallowed is None or self._swallowed not in message:
                        others[sender].sendall(message)
