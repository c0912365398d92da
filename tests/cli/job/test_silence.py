"""``run`` with a registry that accepts connections and never responds."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator

import pytest

from airflow_provider_partition_registry.cli.options import URL_VARIABLE
from tests.cli.job.conftest import WAITING_LONG, Registry


class Silent:
    """A server that accepts connections and never responds."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._accepted: list[socket.socket] = []

    def accept(self) -> None:
        """Wait until a client connects."""
        self._listener.settimeout(30)
        self._accepted.append(self._listener.accept()[0])
        self._accepted[-1].recv(1)

    def close(self) -> None:
        for each in (self._listener, *self._accepted):
            each.close()


@pytest.fixture
def silent() -> Iterator[Silent]:
    made = Silent()
    yield made
    made.close()


@pytest.fixture(
    params=["postgresql://postgres@127.0.0.1:{}/none", "http://127.0.0.1:{}"], ids=["sql", "http"]
)
def silent_registry(request: pytest.FixtureRequest, silent: Silent, registry: Registry) -> Registry:
    registry.url = request.param.format(silent.port)
    return registry


def test_the_run_times_out(silent: Silent, silent_registry: Registry):
    running = silent_registry.start(
        "--on-conflict", "wait", "--timeout", "1s", "--", "true", wrapper=WAITING_LONG
    )
    silent.accept()
    code, errors = running.end()
    assert code == 3
    assert "The command was not run." in errors
    assert "has not answered" in errors


@pytest.mark.parametrize("options", [(), ("--on-conflict", "wait")])
def test_signals_end_the_run(silent: Silent, silent_registry: Registry, options: tuple[str, ...]):
    running = silent_registry.start(*options, "--", "true", wrapper=WAITING_LONG)
    silent.accept()
    running.send(signal.SIGTERM)
    code, errors = running.end()
    assert code == 143
    assert "Interrupted while waiting" in errors
    assert URL_VARIABLE not in errors
