"""An HTTP proxy on a real port, as companies put between a host and the network."""

from __future__ import annotations

import http.client
import http.server
import select
import socket
from urllib.parse import urlsplit

from testbed.on_thread import OnThread

AT_MOST = 65_536


class HttpProxy(OnThread):
    """Forwards plain requests and tunnels encrypted ones, for the length of a ``with`` block.

    :param authorization: the ``Proxy-Authorization`` header that it requires; by default none
    """

    def __init__(self, authorization: str | None = None) -> None:
        self.requests: list[str] = []
        """Method and target of the requests it got."""

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_CONNECT(handler) -> None:  # noqa: N805
                if self._admits(handler, authorization):
                    host, _, port = handler.path.rpartition(":")
                    handler.send_response(200)
                    handler.end_headers()
                    _tunnel(handler.connection, host.strip("[]"), int(port))
                handler.close_connection = True

            def do_GET(handler) -> None:  # noqa: N805
                if self._admits(handler, authorization):
                    _forward(handler)

            def do_POST(handler) -> None:  # noqa: N805
                handler.do_GET()

            def log_message(self, *_: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        super().__init__(server)
        self.address = f"127.0.0.1:{server.server_address[1]}"

    def _admits(self, handler: http.server.BaseHTTPRequestHandler, authorization: str | None) -> bool:
        self.requests.append(f"{handler.command} {handler.path}")
        if authorization is None or handler.headers.get("Proxy-Authorization") == authorization:
            return True
        handler.send_response(407)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return False


def _forward(handler: http.server.BaseHTTPRequestHandler) -> None:
    target = urlsplit(handler.path)
    assert target.scheme == "http", "a proxy is told the whole URL"
    body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
    service = http.client.HTTPConnection(target.netloc, timeout=60)
    kept = {name: value for name, value in handler.headers.items() if not name.lower().startswith("proxy-")}
    service.request(handler.command, f"{target.path}?{target.query}", body, kept)
    answer = service.getresponse()
    content = answer.read()
    service.close()
    handler.send_response(answer.status)
    for name, value in answer.getheaders():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(content)


def _tunnel(client: socket.socket, host: str, port: int) -> None:
    with socket.create_connection((host, port)) as server:
        others = {client: server, server: client}
        while True:
            for sender in select.select(list(others), [], [])[0]:
                message = sender.recv(AT_MOST)
                if not message:
                    return
                others[sender].sendall(message)
