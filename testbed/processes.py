"""Child processes that are easy to start, wait for, break and end, and that never outlive their parent."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypedDict

from testbed import guardian

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

__all__ = [
    "Child",
    "TestbedError",
    "free_port",
    "new_temporary_folder",
    "stop_together",
    "until",
    "wait_until",
]


class TestbedError(Exception):
    """Something the testbed runs did not do what it should; the message shows what it logged."""

    __test__ = False  # the name starts like a test class


@contextlib.contextmanager
def _interrupts_put_off() -> Iterator[None]:
    """Let handlers of SIGINT and SIGTERM, which may raise, run only afterwards: no process may start unwatched."""
    if threading.current_thread() is not threading.main_thread():  # others do not run handlers
        yield
        return
    came: list[int] = []
    handlers = {
        number: handler
        for number in (signal.SIGINT, signal.SIGTERM)
        if callable(handler := signal.getsignal(number))
    }
    for each in handlers:
        signal.signal(each, lambda number, _frame: came.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for arrived in came:
            signal.raise_signal(arrived)


class Child:
    """One program in a session of its own, with all its output in one log file.

    :param name: what messages call it
    :param command: program and arguments
    :param log: the file that gets standard output and error; appended to, so that restarts keep the history
    :param environment: the complete environment; ``None`` inherits ours
    :param user: the unprivileged user to run as, when we are root
    :param stop_signal: makes this program shut down gracefully
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.command = [str(part) for part in command]
        self.log = log
        self._environment = environment
        self._user = user
        self.stop_signal = stop_signal
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def was_started(self) -> bool:
        return self._process is not None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise TestbedError(f"{self.name} has not been started")
        return self._process.pid

    def start(self) -> None:
        if self.is_running:
            raise TestbedError(f"{self.name} is running already")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output, _interrupts_put_off():
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment,
                cwd=self.log.parent,
                start_new_session=True,
                **run_as(self._user),
            )
            _keeper.watch(self)

    def stop(self, grace: float = 30.0) -> bool:
        """End the whole family; ``False`` when it had to be killed after ``grace`` seconds."""
        return stop_together([self], grace)

    def kill(self) -> None:
        """End the whole family at once, as a power cut would."""
        # Paused first, so that no process notices another's end and restarts it or tidies up.
        self.pause()
        guardian.kill_families([self.pid])
        self.reap()

    def pause(self) -> None:
        """Freeze the whole family: it keeps its connections and answers nothing."""
        guardian.signal_group(self.pid, signal.SIGSTOP)
        guardian.signal_family(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        guardian.signal_family(self.pid, signal.SIGCONT)

    def wait_for_exit(self, timeout: float) -> int:
        """The exit code of a program that ends by itself."""
        assert self._process is not None
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise TestbedError(f"{self.name} did not end within {timeout:g} s\n{self.log_tail()}") from None
        finally:
            self.stop(grace=0)

    def log_tail(self, lines: int = 25) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        tail = "\n".join(f"  | {line}" for line in text.splitlines()[-lines:])
        return f"the end of {self.log}:\n{tail or '  | (empty)'}"

    def reap(self) -> None:
        """Reap the family, which has ended."""
        assert self._process is not None
        self._process.wait()
        _keeper.forget(self)


def wait_until(
    condition: Callable[[], object],
    *,
    what: str,
    timeout: float,
    children: Iterable[Child] = (),
    interval: float = 0.1,
    detail: Callable[[], object] | None = None,
) -> None:
    """Wait until the condition holds; if it does not, raise an error that says why.

    :param what: ends the sentence "gave up waiting for ..."
    :param timeout: (seconds)
    :param children: the processes it depends on; when one ends, waiting ends too
    :param interval: between two looks (seconds)
    :param detail: what to add to the error message
    """
    children = list(children)
    deadline = time.monotonic() + timeout
    while not condition():
        ended = [child for child in children if not child.is_running]
        late = time.monotonic() > deadline
        if ended or late:
            reason = f"{ended[0].name} has ended" if ended else f"{timeout:g} s have passed"
            parts = [f"gave up waiting for {what}: {reason}"]
            parts += [str(detail())] if detail else []
            parts += [child.log_tail() for child in ended or children]
            raise TestbedError("\n".join(parts))
        time.sleep(interval)


async def until(
    condition: Callable[[], object],
    *,
    what: str,
    timeout: float = 60.0,  # noqa: ASYNC109 - it fails with an explanation, which a cancelled thread could not give
) -> None:
    """Wait in a coroutine until the condition holds. It is checked in a thread, so that the event loop can go on."""
    await asyncio.to_thread(wait_until, condition, what=what, timeout=timeout, interval=0.02)


def stop_together(children: Iterable[Child], grace: float = 30.0) -> bool:
    """Stop several at once, as shutting down takes seconds each; ``False`` if one had to be killed."""
    started = [child for child in children if child.was_started]
    polite = guardian.end_families({child.pid: child.stop_signal for child in started}, grace)
    for child in started:
        child.reap()
    return polite


def new_temporary_folder(purpose: str, parent: Path | None = None) -> Path:
    """A folder that is removed when this process ends; by default where the system keeps temporary files."""
    folder = Path(tempfile.mkdtemp(prefix=f"testbed-{purpose}-", dir=parent))
    _keeper.remove_at_end(folder)
    return folder


_handed_out: set[int] = set()


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on, and that was not handed out before.

    It is below the range from which systems take the ports of outgoing connections: otherwise a server that is
    down for a moment would find its port taken by one of its own clients.
    """
    for port in random.sample(range(20_000, 32_000), 1_000):
        with socket.socket() as probe:
            if port not in _handed_out and probe.connect_ex(("127.0.0.1", port)) != 0:
                _handed_out.add(port)
                return port
    raise TestbedError("no free port found")


class _Account(TypedDict, total=False):
    user: str
    group: int
    extra_groups: list[int]


def run_as(user: str | None) -> _Account:
    """Arguments for ``subprocess`` that drop root's privileges in favour of ``user``."""
    if user is None:
        return {}
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


class _Keeper:
    """Knows what this process has started, and makes sure that everything ends when this process does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner = 0
        self._children: list[Child] = []
        self._folders: list[Path] = []
        self._guardian: subprocess.Popen[str] | None = None
        self._orders: IO[str] | None = None

    def watch(self, child: Child) -> None:
        self._order(f"watch {child.pid} {int(child.stop_signal)}")
        self._children.append(child)

    def forget(self, child: Child) -> None:
        self._order(f"forget {child.pid}")
        if child in self._children:
            self._children.remove(child)

    def remove_at_end(self, folder: Path) -> None:
        self._order(f"remove {folder}")
        self._folders.append(folder)

    def end_everything(self) -> None:
        # A fork inherits this object and the exit handler, not the children.
        if os.getpid() == self._owner:
            stop_together(self._children)
            for folder in self._folders:
                shutil.rmtree(folder, ignore_errors=True)
            self._dismiss_guardian()

    def _order(self, line: str) -> None:
        with self._lock:
            if self._owner != os.getpid():
                self._start_guardian()
            assert self._orders is not None
            self._orders.write(line + "\n")
            self._orders.flush()

    def _start_guardian(self) -> None:
        self._guardian = subprocess.Popen(
            [sys.executable, "-I", "-S", guardian.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # a Ctrl-C is for the parent alone
        )
        self._owner, self._orders = os.getpid(), self._guardian.stdin
        self._children, self._folders = [], []
        atexit.register(self.end_everything)

    def _dismiss_guardian(self) -> None:
        assert self._guardian is not None
        assert self._orders is not None
        self._orders.close()
        self._guardian.wait()


_keeper = _Keeper()
