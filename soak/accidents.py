"""What is broken on purpose, and when."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from soak.plan import source_name
from soak.world import World
from testbed.freezing import freezing


class Accident(NamedTuple):
    """Something that was broken, and whole again afterwards. Times are on the machine's monotonic clock, in seconds."""

    name: str
    began: float
    ended: float


class Accidents:
    """Breaks things in a thread of its own, as planned.

    :param tell: is called with what has just happened.
    """

    def __init__(self, world: World, start: float, tell: Callable[[str], None]) -> None:
        self.happened: list[Accident] = []
        self.error: Exception | None = None
        self._world = world
        self._start = start
        self._tell = tell
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="accidents")

    @contextmanager
    def happening(self) -> Iterator[None]:
        """Let them happen during a block. No more of them begin after its end."""
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join()

    def _run(self) -> None:
        plan = self._world.plan
        try:
            self._at(plan.restart_at, "PostgreSQL is restarted", self._restart)
            for at, name in zip(plan.kills_at, self._world.services, strict=True):
                self._at(at, f"{name} is killed", partial(self._kill, name))
            self._at(plan.frozen[0], "a writer is frozen", self._freeze)
        except Exception as error:
            self.error = error

    def _at(self, seconds: float, name: str, happen: Callable[[], None]) -> None:
        if self._wait_until(seconds):
            self._tell(name)
            began = time.monotonic()
            happen()
            self.happened.append(Accident(name, began, time.monotonic()))
            self._tell(f"that is over after {time.monotonic() - began:.1f} s")

    def _wait_until(self, seconds: float) -> bool:
        """Wait until so many seconds after the beginning; returns whether to go on."""
        return not self._stop.wait(max(0.0, self._start + seconds - time.monotonic()))

    def _restart(self) -> None:
        self._world.postgres.stop()
        self._world.postgres.start()

    def _kill(self, name: str) -> None:
        self._world.services[name].kill()
        self._world.services[name].start()

    def _freeze(self) -> None:
        plan = self._world.plan
        with freezing(self._world.postgres.url(), source_name(plan.frozen_source)) as writer:
            self._wait_until(plan.frozen[1])
            writer.send_signal(signal.SIGCONT)
            if (code := writer.wait(60)) != 0:
                raise RuntimeError(f"the frozen writer ended with exit code {code}")
