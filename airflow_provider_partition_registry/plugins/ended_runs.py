"""Ending the locks that runs leave behind, in a background thread of the process that Airflow notifies of their end.

The scheduler, and Airflow 3's API server when a person sets a run's state, notify in the middle of a transaction and of
a loop that must not wait. So the run is only noted, and a thread does the rest when the transaction is committed. If a
process is stopped before that, reconciliation finds what is left.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_partition_registry.plugins.registries import (
    Registry,
    RestingError,
    connections_of,
    fork_gate,
)

if TYPE_CHECKING:
    from airflow_provider_partition_registry.runtime.states import RunKey
    from airflow_provider_partition_registry.store.contract import RegistryStore

_log = logging.getLogger(__name__)

AFTER_COMMIT = 1.0  # seconds until Airflow has, as a rule, committed the run's end
AFTER_KILLS = 30.0  # seconds until workers have stopped tasks that were cut off in the middle
LOOKS_AT_RUNS_THAT_GO_ON = 6  # with growing delays, about a minute: longer than a commit takes
MOST_RUNS = 10_000  # that are remembered


@dataclass
class EndedRun:
    """A run that Airflow says is over.

    :param how: how it ended, to complete "The run ...".
    :param conn_id: the Airflow connection of a registry in which it may hold locks.
    :param is_cut_off: whether some of its tasks may have been running.
    :param due: when to look at it, by the clock of :func:`time.monotonic`.
    :param looks: how often it was looked at.
    """

    dag_id: str
    run_id: str
    how: str
    conn_id: str
    is_cut_off: bool
    due: float
    looks: int = 0

    @property
    def key(self) -> RunKey:
        """Its DAG id and run id."""
        return self.dag_id, self.run_id


class EndedRuns:
    """The ended runs whose locks are still to be ended, and the thread that does so."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[EndedRun] = []
        self._thread: threading.Thread | None = None
        self._registries: dict[str, Registry] = {}

    def add(self, dag_run: Any, msg: str) -> None:
        """Note a run; returns at once.

        :param dag_run: nothing of it is read that would query the database, as its session is in use here.
        :param msg: what Airflow says about its end.
        """
        state = str(getattr(dag_run.state, "value", dag_run.state))
        how, is_cut_off = _how_it_ended(state, msg or "")
        conn_ids = connections_of(getattr(dag_run, "dag", None))
        self.note(dag_run.dag_id, dag_run.run_id, how, conn_ids, is_cut_off=is_cut_off)

    def note(self, dag_id: str, run_id: str, how: str, conn_ids: Iterable[str], *, is_cut_off: bool) -> None:
        """Note a run whose end is known; returns at once."""
        due = time.monotonic() + AFTER_COMMIT
        self._put([EndedRun(dag_id, run_id, how, conn_id, is_cut_off, due) for conn_id in conn_ids])

    def wait_until_done(self, timeout: float) -> bool:
        """Wait until nothing is left to do, at most ``timeout`` seconds; say whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: self._thread is None, timeout)

    def _put(self, runs: list[EndedRun]) -> None:
        with self._changed:
            self._waiting += runs
            if len(self._waiting) > MOST_RUNS:
                _log.warning(
                    "More than %s ended runs wait; the oldest are left to reconciliation.", MOST_RUNS
                )
                del self._waiting[:-MOST_RUNS]
            if self._waiting and self._thread is None:
                self._thread = threading.Thread(target=self._work, name="ended-runs", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def _work(self) -> None:
        while due := self._next():
            by_connection: dict[str, list[EndedRun]] = {}
            for run in due:
                by_connection.setdefault(run.conn_id, []).append(run)
            for conn_id, runs in by_connection.items():
                self._put(self._look(conn_id, runs))

    def _next(self) -> list[EndedRun]:
        """The runs that are due, as soon as there are any; none if nothing is left, so that the thread can end."""
        with self._changed:
            while self._waiting:
                now = time.monotonic()
                first_due = min(run.due for run in self._waiting)
                if first_due <= now:
                    # Runs that end at about the same time are looked at together.
                    soon = now + AFTER_COMMIT / 2
                    due = [run for run in self._waiting if run.due <= soon]
                    self._waiting = [run for run in self._waiting if run.due > soon]
                    return due
                self._changed.wait(first_due - now)
            self._thread = None
            self._changed.notify_all()
            return []

    def _look(self, conn_id: str, runs: list[EndedRun]) -> list[EndedRun]:
        """End the locks of these runs.

        :return: the runs to look at again.
        """
        registry = self._registries.setdefault(conn_id, Registry(conn_id))
        otherwise = f"The locks of {len(runs)} ended runs are still to be ended."
        try:
            going_on = registry.ask(partial(_end_locks, runs), otherwise)
        except RestingError:
            for run in runs:
                run.due = registry.rests_until
            return runs
        return [run for run in runs if going_on is not None and _is_to_be_seen_again(run, going_on)]


def _is_to_be_seen_again(run: EndedRun, going_on: set[RunKey]) -> bool:
    """Whether the run must be looked at again; if so, it also sets when."""
    run.looks += 1
    if run.key in going_on and run.looks < LOOKS_AT_RUNS_THAT_GO_ON:
        run.due = time.monotonic() + 2.0**run.looks
        return True
    # A task that was about to take the lock may still have taken it since.
    seen_again, run.is_cut_off, run.due = run.is_cut_off, False, time.monotonic() + AFTER_KILLS
    return seen_again


def _end_locks(runs: Sequence[EndedRun], store: RegistryStore, instance: str) -> set[RunKey]:
    """End the locks of runs that are over.

    :param instance: the name of this Airflow.
    :return: the runs with locks that Airflow does not, or not yet, report as over.
    """
    with fork_gate.passing():
        from airflow_provider_partition_registry.runtime.identity import prefix_of
        from airflow_provider_partition_registry.runtime.reconciliation import end_locks, held_locks
        from airflow_provider_partition_registry.runtime.states import ENDED, ask_database, run_of

    endings = {run.key: run.how for run in runs}
    (first, *others) = endings
    prefix = prefix_of(instance) if others else prefix_of(instance, *first)
    held = [each for each in held_locks(store, prefix) if run_of(each.holder) in endings]
    states = ask_database([each.holder for each in held]) if held else {}
    going_on = {key for key, run in states.items() if run.state not in (None, *ENDED)}
    over = [each for each in held if run_of(each.holder) not in going_on]
    for outcome in end_locks(store, over, states, endings):
        _log.warning("%s", outcome)
    return going_on


def _how_it_ended(state: str, msg: str) -> tuple[str, bool]:
    """How a run ended, to complete "The run ...", and whether tasks of it may have been running."""
    if "manually" in msg:
        return f"was marked {state} by hand", True
    if state == "failed" and msg in ("timed_out", ""):  # Airflow 3, Airflow 2
        return "timed out", True
    return f"ended as {state}", False


ended_runs = EndedRuns()
"""Those of this process."""


def _start_anew() -> None:
    """Start with no runs in a forked child: the parent goes on with its runs, and its thread does not exist here."""
    ended_runs.__init__()  # type: ignore[misc]


os.register_at_fork(after_in_child=_start_anew)
