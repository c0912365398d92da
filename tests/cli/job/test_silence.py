"""``run`` and a registry that accepts calls and never answers."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator

import pytest

from airflow_provider_partition_registry.cli.options import URL_VARIABLE
from tests.cli.job.conftest import Registry


class Silent:
    """Accepts connections and says nothing."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._accepted: list[socket.socket] = []

    def accept(self) -> None:
        """Wait until somebody asks."""
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


def test_the_time_out_holds(silent: Silent, silent_registry: Registry):
    running = silent_registry.start("--on-conflict", "wait", "--timeout", "1s", "--", "true")
    silent.accept()
    began = time.monotonic()
    code, errors = running.end()
    assert time.monotonic() - began < 5  # and not the 10 s after which a call gives up
    assert code == 3
    assert "Nothing was run." in errors
    assert "has not answered" in errors


@pytest.mark.parametrize("options", [(), ("--on-conflict", "wait")])
def test_signals_are_heard(silent: Silent, silent_registry: Registry, options: tuple[str, ...]):
    running = silent_registry.start(*options, "--", "true")
    silent.accept()
    began = time.monotonic()
    running.send(signal.SIGTERM)
    code, errors = running.end()
    assert time.monotonic() - began < 5
    assert code == 143
    assert "Interrupted while waiting" in errors
    assert URL_VARIABLE not in errors
