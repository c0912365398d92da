"""TLS in front of a server without it, as a reverse proxy does it, with a self-signed certificate."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import socket
import socketserver
import ssl
import threading
from pathlib import Path
from typing import Any, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from testbed.on_thread import OnThread

ADDRESS = "127.0.0.1"
AT_MOST = 65_536


def self_signed(file: Path) -> Path:
    """Write a self-signed certificate for 127.0.0.1 and its key; returns the file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a registry under test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(ADDRESS))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + secret)
    return file


class TlsProxy(OnThread):
    """Terminates TLS in front of a server on 127.0.0.1, for the length of a ``with`` block.

    :param server_port: of the server behind it
    :param certificate: the file with its certificate and key
    """

    def __init__(self, server_port: int, certificate: Path) -> None:
        self._server_port = server_port
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        server = socketserver.ThreadingTCPServer((ADDRESS, 0), cast("Any", self._pass_on))
        server.daemon_threads = True
        super().__init__(server)
        self.url = f"https://{ADDRESS}:{server.server_address[1]}"

    def _pass_on(self, raw: socket.socket, *_: object) -> None:
        with (
            contextlib.suppress(
                OSError
            ),  # a client that does not trust the certificate hangs up in the handshake
            self._context.wrap_socket(raw, server_side=True) as client,
            socket.create_connection((ADDRESS, self._server_port)) as server,
        ):
            back = threading.Thread(target=_copy, args=(server, client), daemon=True)
            back.start()
            _copy(client, server)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while message := source.recv(AT_MOST):
            target.sendall(message)
        target.shutdown(socket.SHUT_WR)
