"""Noticing the end of runs of which Airflow tells nobody.

Airflow 2's web server tells no listener when a person marks a run, and an API server may be stopped before it has ended
a run's locks. So whichever process hears that a run with locks begins looks from time to time whether it still goes on.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import Any

from airflow_provider_partition_registry.plugins.ended_runs import connections_of, ended_runs
from airflow_provider_partition_registry.runs.states import ENDED, RunKey, states_of_runs

_log = logging.getLogger(__name__)

BETWEEN_LOOKS = 20.0  # seconds; one statement in Airflow's own database, however many runs there are


class RunningRuns:
    """The runs with locks that are going on, and the thread that looks at them while there are any."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._connections: dict[RunKey, set[str]] = {}
        self._over_at_last_look: set[RunKey] = set()
        self._thread: threading.Thread | None = None

    def add(self, dag_run: Any) -> None:
        """Note a run that begins, if its DAG locks anything; returns at once.

        :param dag_run: of which nothing is read that would ask the database: its session is in use here.
        """
        dag = getattr(dag_run, "dag", None)
        if not uses_the_registry(dag):
            return
        with self._changed:
            self._connections[dag_run.dag_id, dag_run.run_id] = connections_of(dag)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="running-runs", daemon=True)
                self._thread.start()

    def forget(self, dag_run: Any) -> None:
        """A run of whose end Airflow has told."""
        with self._changed:
            self._connections.pop((dag_run.dag_id, dag_run.run_id), None)
            self._changed.notify_all()

    def _work(self) -> None:
        while self._has_waited():
            try:
                self._look()
            except Exception:  # Airflow's database may be away; it is asked again
                _log.warning("Which runs still go on cannot be looked up.", exc_info=True)

    def _has_waited(self) -> bool:
        """Whether there is still anything to look at after a while; if not, the thread is to end."""
        with self._changed:
            self._changed.wait_for(lambda: not self._connections, BETWEEN_LOOKS)
            if not self._connections:
                self._thread = None
            return self._thread is not None

    def _look(self) -> None:
        with self._changed:
            known = dict(self._connections)
        states = states_of_runs(known)
        over = {key for key in known if states.get(key) in (None, *ENDED)}
        # Whoever is told of an end knows more about it, such as that a person marked the run; so that one comes first.
        for key in over & self._over_at_last_look:
            state = states.get(key)
            how = "was deleted" if state is None else f"ended as {state}"
            ended_runs.note(*key, how, known[key], is_cut_off=True)
            with self._changed:
                self._connections.pop(key, None)
        self._over_at_last_look = over


def uses_the_registry(dag: Any) -> bool:
    """Whether any task of a DAG, as the scheduler has it, is one of ours."""
    name = "partition_registry_conn_id"
    return any(
        hasattr(task, name) or name in getattr(task, "partial_kwargs", {})
        for task in getattr(dag, "tasks", ())
    )


running_runs = RunningRuns()
"""Of this process."""

os.register_at_fork(after_in_child=running_runs.__init__)  # type: ignore[misc]
