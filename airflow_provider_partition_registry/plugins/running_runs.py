"""Noticing the end of runs about which Airflow notifies nobody.

Airflow 2's web server notifies no listener when a person marks a run, and an API server may be stopped before it has
ended a run's locks. So the process that is notified when runs begin, the scheduler, checks from time to time whether
those that hold locks still go on. It learns of them from Airflow, and from the registry: a scheduler that was restarted
was not notified of runs that its predecessor began.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, Any

from airflow_provider_partition_registry.plugins.ended_runs import ended_runs
from airflow_provider_partition_registry.plugins.registries import (
    Registry,
    RestingError,
    connections_of,
    fork_gate,
    uses_the_registry,
)
from airflow_provider_partition_registry.runtime.states import ENDED, RunKey, states_of_runs

if TYPE_CHECKING:
    from airflow_provider_partition_registry.store.contract import RegistryStore

_log = logging.getLogger(__name__)

BETWEEN_LOOKS = 20.0  # seconds; one statement in Airflow's own database, however many runs there are
BETWEEN_LISTS = 300.0  # seconds; each registry lists the locks of this Airflow


class RunningRuns:
    """The running runs that may hold locks, and the thread that checks them once a run has begun."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_stopped = threading.Event()
        self._connections: dict[RunKey, set[str]] = {}
        self._over_at_last_look: set[RunKey] = set()
        self._registries: dict[str, Registry] = {}
        self._thread: threading.Thread | None = None

    def add(self, dag_run: Any) -> None:
        """Note a run that begins; returns at once.

        :param dag_run: nothing of it is read that would query the database, as its session is in use here.
        """
        dag = getattr(dag_run, "dag", None)
        conn_ids = connections_of(dag)
        with self._lock:
            for conn_id in conn_ids - self._registries.keys():
                self._registries[conn_id] = Registry(conn_id)
            if uses_the_registry(dag):
                self._connections[dag_run.dag_id, dag_run.run_id] = conn_ids
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="running-runs", daemon=True)
                self._thread.start()

    def forget(self, dag_run: Any) -> None:
        """Forget a run whose end Airflow has reported."""
        self._drop((dag_run.dag_id, dag_run.run_id))

    def stop(self, timeout: float) -> None:
        """Stop checking, and wait for the thread; the next run that begins starts another one.

        :param timeout: (seconds)
        """
        self._is_stopped.set()
        if self._thread is not None:
            self._thread.join(timeout)
        self.__init__()  # type: ignore[misc]

    def _work(self) -> None:
        while not self._is_stopped.wait(BETWEEN_LOOKS):
            self._list()
            try:
                self._look()
            except Exception:  # Airflow's database may be down; the thread tries again
                _log.warning("Which runs still go on cannot be looked up.", exc_info=True)

    def _list(self) -> None:
        """Add the runs that hold locks and that Airflow has not reported to this process."""
        with self._lock:
            registries = list(self._registries.values())
        for registry in registries:
            try:
                runs = registry.ask(_runs_with_locks, "Which runs hold locks is still to be listed.")
            except RestingError:
                continue
            registry.rest(BETWEEN_LISTS)
            with self._lock:
                for run in runs or ():
                    self._connections.setdefault(run, set()).add(registry.conn_id)

    def _look(self) -> None:
        with self._lock:
            known = dict(self._connections)
        states = states_of_runs(known) if known else {}
        over = {key for key in known if states.get(key) in (None, *ENDED)}
        # A process that Airflow notifies of an end knows more, such as that a person marked the run; it goes first.
        for key in over & self._over_at_last_look:
            state = states.get(key)
            how = "was deleted" if state is None else f"ended as {state}"
            ended_runs.note(*key, how, known[key], is_cut_off=True)
            self._drop(key)
        self._over_at_last_look = over

    def _drop(self, key: RunKey) -> None:
        with self._lock:
            self._connections.pop(key, None)


def _runs_with_locks(store: RegistryStore, instance: str) -> set[RunKey]:
    """The runs of this Airflow that hold locks and that Airflow knows.

    An unknown run may be somebody's trial with this Airflow's connection; only runs that were known can be deleted.
    """
    with fork_gate.passing():
        from airflow_provider_partition_registry.runtime.identity import prefix_of
        from airflow_provider_partition_registry.runtime.reconciliation import held_locks
        from airflow_provider_partition_registry.runtime.states import run_of

    runs = {run_of(each.holder) for each in held_locks(store, prefix_of(instance))}
    return set(states_of_runs(runs)) if runs else set()


running_runs = RunningRuns()
"""Those of this process."""

os.register_at_fork(after_in_child=running_runs.__init__)  # type: ignore[misc]
