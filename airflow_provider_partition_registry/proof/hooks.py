"""How the guard is put around a task: when the DAG file is parsed, or in the process that executes the task.

Nothing else is imported when a DAG file is parsed; the guard itself is imported when a task begins.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from airflow_provider_partition_registry.proof.graph import has_locks, operator_class_of, role_of
from airflow_provider_partition_registry.runtime.compat import calls_hooks_of


def begin_guarded(context: Any) -> None:
    """Called by Airflow before a task executes."""
    from airflow_provider_partition_registry.proof.guard import begin_work

    begin_work(context)


def end_guarded(context: Any, result: Any = None) -> None:
    """Called by Airflow after a task executed."""
    from airflow_provider_partition_registry.proof.guard import end_work

    end_work(context)


def guard_in_dag(task: Any) -> None:
    """Put the guard around a task of a DAG file, mapped or not, so that it does not depend on the plugin."""
    if _is_guarded(task) or not calls_hooks_of(operator_class_of(task)):
        return
    for argument, attribute, guard in _HOOKS:
        common = getattr(task, "partial_kwargs", None)
        if common is not None:
            common[argument] = _both(guard, common.get(argument))
        else:
            setattr(task, attribute, _both(guard, getattr(task, attribute)))


def guard_in_process(task: Any) -> None:
    """Put the guard around a task that is about to execute in this process, unless its DAG file has done so."""
    if task.dag is None or role_of(task) is not None or not has_locks(task.dag) or _is_guarded(task):
        return
    for name in ("execute", "resume_execution"):
        setattr(task, name, _guarded(getattr(task, name)))


_HOOKS = (
    ("pre_execute", "_pre_execute_hook", begin_guarded),
    ("post_execute", "_post_execute_hook", end_guarded),
)


def _is_guarded(task: Any) -> bool:
    common = getattr(task, "partial_kwargs", None)
    hook = common.get("pre_execute") if common is not None else task._pre_execute_hook
    return begin_guarded in (hook, *getattr(hook, "hooks", ()))


def _both(guard: Callable[..., None], own: Callable[..., None] | None) -> Callable[..., None]:
    """Call the guard and the task's own hook: the guard is the first to begin and the last to end."""
    if own is None:
        return guard
    hooks = (guard, own) if guard is begin_guarded else (own, guard)

    def call_both(*args: Any) -> None:
        for hook in hooks:
            hook(*args)

    call_both.hooks = hooks  # type: ignore[attr-defined]
    return call_both


def _guarded(execute: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(execute)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        context = kwargs["context"] if "context" in kwargs else args[0]
        begin_guarded(context)
        result = execute(*args, **kwargs)
        end_guarded(context)
        return result

    return guarded
