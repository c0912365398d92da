"""Worker processes: starting them, checking their heartbeat, and restarting them when they end.

uvicorn has a supervisor as well. It mistakes a worker that is still importing for one that hangs and kills it; on a
slow machine it does so for ever, without saying why. While it waits for one worker, it looks after no other.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import pkgutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, Pipe
from typing import Any

log = logging.getLogger(__name__)

STARTUP_FAILURE = 3
"""The exit code, uvicorn's, of a worker that cannot start and would fail again."""

LOOK_EVERY = 0.5  # seconds
START_IS_SLOW_AFTER = 30.0  # seconds, after which the log says so, and again after each such time
HEARTBEAT_TIMEOUT = (
    30.0  # seconds without a heartbeat, after which a worker that had started counts as hanging
)

_spawn = multiprocessing.get_context("spawn")


class Worker:
    """A process that works until it is told to stop, or until its parent is gone.

    :param work: the function that it imports and calls, as ``module:function``.
    :param arguments: the function's arguments.
    """

    def __init__(self, work: str, *arguments: Any) -> None:
        self._questions, answers = Pipe()
        self._process = _spawn.Process(target=_run, args=(answers, work, *arguments))
        self._process.start()
        answers.close()
        self._has_started = False
        self._heard_at = self._told_at = time.monotonic()
        self._ask()

    @property
    def pid(self) -> int | None:
        """Its process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while it works."""
        return self._process.exitcode

    def find_trouble(self) -> str | None:
        """What is wrong with it, as words that continue from its name. This never blocks."""
        if not self._process.is_alive():
            return f"has ended with {_in_words(self._process.exitcode)}"
        now = time.monotonic()
        if self._has_responded():
            self._has_started, self._heard_at = True, now
            self._ask()
        elif not self._has_started:
            self._tell_of_slow_start(now)
        elif now - self._heard_at > HEARTBEAT_TIMEOUT:
            return f"has not responded for {HEARTBEAT_TIMEOUT:g} s"
        return None

    def terminate(self) -> None:
        """Tell it to stop."""
        self._process.terminate()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self.join()

    def join(self) -> None:
        """Wait for its end."""
        self._process.join()
        self._questions.close()

    def _ask(self) -> None:
        try:
            self._questions.send(None)
        except OSError:
            return  # it is ending

    def _has_responded(self) -> bool:
        try:
            return self._questions.poll() and self._questions.recv() is None
        except (OSError, EOFError):
            return False  # it is ending

    def _tell_of_slow_start(self, now: float) -> None:
        if now - self._told_at > START_IS_SLOW_AFTER:
            self._told_at = now
            log.warning("Worker process %s has been starting for %.0f s.", self.pid, now - self._heard_at)


def supervise(count: int, work: str, *arguments: Any) -> int:
    """Keep ``count`` workers running until SIGTERM or SIGINT tells this process to stop.

    :param work: with its arguments, see :class:`Worker`.
    :return: the exit code.
    """
    with _told_to_stop() as stop:
        workers = [Worker(work, *arguments) for _ in range(count)]
        log.info("Worker processes are starting: %s.", ", ".join(str(each.pid) for each in workers))
        while not stop.wait(LOOK_EVERY):
            for number, worker in enumerate(workers):
                trouble = worker.find_trouble()
                if trouble is None:
                    continue
                worker.kill()
                if worker.exit_code == STARTUP_FAILURE:
                    log.error("Worker process %s cannot start; its reasons are above.", worker.pid)
                    _end(workers)
                    return STARTUP_FAILURE
                workers[number] = Worker(work, *arguments)
                log.error(
                    "Worker process %s %s; %s takes its place.", worker.pid, trouble, workers[number].pid
                )
        log.info("Stopping, and stopping the worker processes.")
        _end(workers)
        return 0


@contextmanager
def _told_to_stop() -> Iterator[threading.Event]:
    stop = threading.Event()
    former = {
        number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _end(workers: list[Worker]) -> None:
    for each in workers:
        each.terminate()
    for each in workers:
        each.join()


def _in_words(exit_code: int | None) -> str:
    if exit_code is None or exit_code >= 0:
        return f"exit code {exit_code}"
    return signal.Signals(-exit_code).name


def _run(answers: Connection, work: str, *arguments: Any) -> None:
    """In the worker: start the heartbeat before importing anything that takes time, then work."""
    threading.Thread(target=_respond, args=(answers,), name="signs-of-life", daemon=True).start()
    pkgutil.resolve_name(work)(*arguments)


def _respond(answers: Connection) -> None:
    with contextlib.suppress(OSError, EOFError):
        while True:
            answers.send(answers.recv())
    # The parent is gone. A worker that outlived it would keep the port.
    os.kill(os.getpid(), signal.SIGTERM)
