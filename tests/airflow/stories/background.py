"""The listener's background work, done when a story asks for it, not a moment later in threads of its own."""

from __future__ import annotations

from airflow_provider_partition_registry.plugins.ended_runs import EndedRun, EndedRuns
from airflow_provider_partition_registry.plugins.running_runs import RunningRuns


class _EndedRuns(EndedRuns):
    def _put(self, runs: list[EndedRun]) -> None:
        self._waiting += runs

    def look(self) -> None:
        """Look once at all runs that wait."""
        waiting, self._waiting = self._waiting, []
        for run in waiting:
            self._put(self._look(run.conn_id, [run]))


class _RunningRuns(RunningRuns):
    def add(self, dag_run: object) -> None:
        self._thread = self._thread or _NO_THREAD
        super().add(dag_run)

    def look(self) -> None:
        if self._connections:
            self._look()


_NO_THREAD = object()


class Background:
    """The background work on runs that end."""

    def __init__(self) -> None:
        self.ended_runs = _EndedRuns()
        self.running_runs = _RunningRuns()

    def look_once(self) -> None:
        """Work as it is done while the run goes on."""
        self.running_runs.look()
        self.ended_runs.look()

    def look_again(self) -> None:
        """Work as it has been done some minutes later."""
        for _ in range(3):
            self.look_once()
