"""Writing a partition in one task: the lock is renewed while the code runs, and how it ends decides what follows.

DAG files that use this are parsed again and again, so what only a running task needs is imported when it runs.
"""

from __future__ import annotations

import functools
import inspect
import logging
import time
import traceback
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, get_type_hints

from airflow_provider_partition_registry.domain.errors import InvalidInputError
from airflow_provider_partition_registry.domain.grains import Grain, check_grain
from airflow_provider_partition_registry.domain.intervals import Instant
from airflow_provider_partition_registry.domain.names import escape_unstorable, storable
from airflow_provider_partition_registry.proof.parsing import WRITES_PARTITION, require_own_process
from airflow_provider_partition_registry.runtime.acting import access_explained, acting_provider
from airflow_provider_partition_registry.runtime.compat import AIRFLOW_VERSION, XComArg
from airflow_provider_partition_registry.runtime.conflicts import (
    OnConflict,
    check_on_conflict,
    in_seconds,
    lock_by,
    seconds_until,
)
from airflow_provider_partition_registry.runtime.errors import WriteInterruptedError
from airflow_provider_partition_registry.runtime.holding import PartitionWrite
from airflow_provider_partition_registry.runtime.interval import interval_of_run
from airflow_provider_partition_registry.runtime.settings import DEFAULT_CONN_ID

if TYPE_CHECKING:
    from airflow_provider_partition_registry.domain.models import Holder, PartitionKey
    from airflow_provider_partition_registry.hooks.partition_registry import PartitionRegistryHook
    from airflow_provider_partition_registry.runtime.settings import ConnectionSettings
    from airflow_provider_partition_registry.store.contract import RegistryStore

__all__ = ["PartitionWrite", "write_partition", "writes_partition"]

SHORTEST_LEASE = timedelta(seconds=1)
FILLED = "write"
"""The parameter of a decorated function that is filled with the :class:`PartitionWrite`."""
TEMPLATED = ("source_name", "provider_name", "start", "end", "partition_registry_conn_id")
CAN_AWAIT = AIRFLOW_VERSION >= (
    3,
    2,
)  # Earlier versions do not await what a task's coroutine function returns.

# By name, since not every Airflow has all of them, and they are in different places.
LEAVING = {"TaskDeferred", "AirflowRescheduleException", "TaskAwaitingInput"}

_being_written: set[tuple[str, PartitionKey]] = set()  # in this process, with the URL of the registry
log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class write_partition(AbstractContextManager[PartitionWrite]):  # noqa: N801 - used as contextlib's are
    """A context manager for the code of a task that writes a partition.

    The lock is taken before the code runs, and its lease is renewed while it does. When the code is done the partition
    is published; if it raises, the partition becomes failed with the text of the exception. If the lock is lost
    meanwhile, nothing is published. If the process is killed, the lease runs out: readers keep waiting, a retry of the
    task takes its own lock up again at once, and others may take it over after the lease.

    ``AirflowSkipException`` releases the lock: the partition goes back to what it was before. So raise it only if
    nothing was written. A task that defers or reschedules itself inside fails, since nobody would renew the lock.

    :param source_name: the source that the partition belongs to.
    :param provider_name: who supplies it; by default the connection's provider, else the DAG's id.
    :param start: first instant of the partition; text or datetime, naive means UTC. By default the run's own interval,
        see :func:`~airflow_provider_partition_registry.runtime.interval.interval_of_run`.
    :param end: first instant after it.
    :param grain: how long a partition lasts, where only a date is known: "hour", "day", "week", "month" or a timedelta.
    :param timezone: the time zone in which a named grain begins.
    :param register: register the partition first if it is not registered.
    :param lease: how long the lock lasts without a renewal by the task, as a timedelta or in seconds. It limits how
        long an outage of the registry a write can survive, and how long others wait for a task that was killed.
    :param exclusive: conflict with overlapping locks of any provider, not only of this one.
    :param on_conflict: when somebody else holds a lock that conflicts: "fail", or "wait" until it is released. A task
        that waits also waits for a registry that does not respond.
    :param poke_interval: time between two attempts while waiting, as a timedelta or in seconds.
    :param timeout: after how long the wait ends with a failure, as a timedelta or in seconds.
    :param partition_registry_conn_id: the Airflow connection of the registry.
    :return: the :class:`PartitionWrite` that holds the lock.
    :raises AmbiguousInstanceError: this Airflow has no name of its own.
    :raises PartitionLockedError: somebody else holds the lock, and the task does not wait, or no longer.
    :raises AccessDeniedError: the provider may not write to the source.
    :raises LockLostError: the lock was lost while the code ran; nothing is published.
    """

    source_name: str
    provider_name: str | None = None
    start: Instant | None = None
    end: Instant | None = None
    grain: Grain | None = None
    timezone: str = "UTC"
    register: bool = True
    lease: timedelta | float = timedelta(minutes=5)
    exclusive: bool = False
    on_conflict: OnConflict = "fail"
    poke_interval: timedelta | float = 60.0
    timeout: timedelta | float = 7 * 24 * 3600.0
    partition_registry_conn_id: str = DEFAULT_CONN_ID
    _hook: PartitionRegistryHook = field(init=False, repr=False, compare=False)
    _write: PartitionWrite = field(init=False, repr=False, compare=False)
    _on_exit: ExitStack = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.grain is not None:
            check_grain(self.grain)
        check_on_conflict(self.on_conflict)
        if not isinstance(self.lease, (timedelta, int, float)) or in_seconds(self.lease) < in_seconds(
            SHORTEST_LEASE
        ):
            raise InvalidInputError(
                f"A lease that is renewed while a task works lasts at least a second, not {self.lease!r}."
            )

    def __enter__(self) -> PartitionWrite:
        from airflow_provider_partition_registry.runtime.compat import get_current_context

        with ExitStack() as on_exit:
            self._write = self._begin(get_current_context(), on_exit)
            self._on_exit = on_exit.pop_all()
        return self._write

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        from airflow_provider_partition_registry.runtime.lineage import report_writing

        if not self._write.is_in_its_process:
            return  # A fork of the task ends here; only the task itself finishes the write.
        with self._on_exit:
            _end(self._write, error)
        if error is None:
            report_writing(self._hook, self._write.partition)

    def _begin(self, context: Mapping[str, Any], on_exit: ExitStack) -> PartitionWrite:
        from airflow_provider_partition_registry.domain.models import PartitionKey
        from airflow_provider_partition_registry.hooks.partition_registry import PartitionRegistryHook
        from airflow_provider_partition_registry.runtime.identity import holder_of_task, require_name

        self._hook = PartitionRegistryHook(self.partition_registry_conn_id)
        # Read here, as only the task's main thread may ask Airflow for anything.
        settings = self._hook.settings
        require_name(settings.instance, self.partition_registry_conn_id)
        provider = acting_provider(self.provider_name, settings, context["ti"].dag_id)
        interval = interval_of_run(
            context, start=self.start, end=self.end, grain=self.grain, timezone=self.timezone
        )
        key = PartitionKey(self.source_name, provider, interval)
        _claim_in_process((settings.url, key), on_exit)
        store = on_exit.enter_context(
            settings.open(pool_size=2)
        )  # for the thread of the code, and the one that renews
        holder = holder_of_task(context, instance=settings.instance)
        write = self._lock(settings, store, key, holder)
        write.start()
        return write

    def _lock(
        self, settings: ConnectionSettings, store: RegistryStore, key: PartitionKey, holder: Holder
    ) -> PartitionWrite:
        deadline = datetime.now(UTC) + timedelta(seconds=in_seconds(self.timeout))
        lease = timedelta(seconds=in_seconds(self.lease))

        def take() -> PartitionWrite:
            with access_explained(key.provider_name, settings, self.partition_registry_conn_id):
                is_taken_up = _is_held_by(holder, store, key)
                taken_at = time.monotonic()
                locked = store.lock(
                    key, holder=holder, lease=lease, exclusive=self.exclusive, register=self.register
                )
            return PartitionWrite(store, locked, lease, taken_at=taken_at, is_taken_up=is_taken_up)

        def pause() -> None:
            time.sleep(min(in_seconds(self.poke_interval), seconds_until(deadline)))

        return lock_by(deadline, take, on_conflict=self.on_conflict, pause=pause, tell=log.info)


class writes_partition(write_partition):  # noqa: N801 - used as a decorator
    """A decorator, under ``@task``, for a function that writes a partition in a :class:`write_partition` context.

    It takes the same parameters; ``source_name``, ``provider_name``, ``start``, ``end`` and
    ``partition_registry_conn_id`` are templated::

        @task
        @writes_partition(source_name="shop.sales", start="{{ params.day }}", grain="day")
        def load(write: PartitionWrite):
            ...

    A parameter called ``write`` is filled with the :class:`PartitionWrite`; callers do not see it. Templates can name
    other arguments of the function: ``"{{ task.op_kwargs.day }}"``, also if the task is mapped over them.

    It works under ``@task``, ``@task.branch`` and everything else that calls the function in the task's own process and
    is done when the function returns; ``@task.virtualenv`` and ``@task.bash``, for example, are refused.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in TEMPLATED:
            if isinstance(getattr(self, name), XComArg):
                raise InvalidInputError(
                    f"{name} cannot be another task's result: the decorated task would not wait for it. Pass the "
                    f"result to the function, and name that argument here, as in '{{{{ task.op_kwargs.day }}}}'."
                )

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Decorate a function."""
        _check_function(function)
        fill = _filling(function)
        written: Callable[..., Any]
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def written(*args: Any, **kwargs: Any) -> Any:
                with self._rendered() as write:
                    return await fill(write, args, kwargs)

        elif inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def written(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
                with self._rendered() as write:
                    return (yield from fill(write, args, kwargs))

        else:

            @functools.wraps(function)
            def written(*args: Any, **kwargs: Any) -> Any:
                with self._rendered() as write:
                    return _done(fill(write, args, kwargs))

        _look_like(function, written)
        return written

    def _rendered(self) -> write_partition:
        """The write with its templates rendered for the running task."""
        from airflow_provider_partition_registry.runtime.compat import get_current_context

        context = get_current_context()
        task = context["ti"].task
        require_own_process(task)
        given = {each.name: getattr(self, each.name) for each in fields(self) if each.init}
        rendered = {name: task.render_template(given[name], context) for name in TEMPLATED}
        return write_partition(**given | rendered)


def _claim_in_process(written: tuple[str, PartitionKey], on_exit: ExitStack) -> None:
    """Refuse a nested write, which would take the task's own lock again and publish what is not finished."""
    if written in _being_written:
        raise InvalidInputError(
            f"The {written[1]} is already being written by this task. Write a partition in one place."
        )
    _being_written.add(written)
    on_exit.callback(_being_written.discard, written)


def _is_held_by(holder: Holder, store: RegistryStore, key: PartitionKey) -> bool:
    from airflow_provider_partition_registry.domain.errors import UnknownError
    from airflow_provider_partition_registry.domain.models import LOCKED_STATES

    try:
        found = store.get_partition(key)
    except UnknownError:
        return False  # The attempt to lock reports such errors better.
    return found.state in LOCKED_STATES and found.lock is not None and found.lock.holder == holder


def _end(write: PartitionWrite, error: BaseException | None) -> None:
    """Finish the partition when its code has ended."""
    from airflow_provider_partition_registry.runtime.compat import AirflowSkipException

    if error is None:
        write.publish()
    elif isinstance(error, AirflowSkipException) and write.is_taken_up:
        write.fail(
            "The task was skipped, but an earlier try of it was killed while it held the lock, and may have written."
        )
    elif isinstance(error, AirflowSkipException):
        write.release()
    elif LEAVING & {kind.__name__ for kind in type(error).__mro__}:
        why = (
            "A task that writes a partition cannot defer, reschedule or wait for input in the middle of it: its "
            "process ends, and nobody would renew the lock. Do that in a task before, or lock and unlock in tasks of "
            "their own."
        )
        write.fail(why)
        raise WriteInterruptedError(why) from error
    else:
        write.fail(_in_words(error))


def _in_words(error: BaseException) -> str:
    """An exception as the reason of a failure, which all readers see, without secrets that Airflow knows."""
    from airflow_provider_partition_registry.runtime.compat import redact

    try:
        text = "".join(traceback.format_exception_only(error)).strip()
        # Escaped first: Airflow 2 hides nothing in text that is not UTF-8, and then fails to log that it did not.
        return storable(str(redact(escape_unstorable(text))))
    except Exception:
        # The registry must be told in any case, and before anything else that the text might make fail, such as a log.
        return f"{type(error).__name__}, whose message cannot be read."


def _check_function(function: Any) -> None:
    if hasattr(function, "_airflow_is_task_decorator"):
        raise InvalidInputError(
            "@writes_partition belongs under @task, directly above the function, not over it."
        )
    if inspect.isasyncgenfunction(function):
        raise InvalidInputError(
            "@writes_partition does not support asynchronous generators; return a value instead."
        )
    if inspect.iscoroutinefunction(function) and not CAN_AWAIT:
        raise InvalidInputError(
            "This Airflow does not run coroutine functions as tasks, 3.2 and later do. Use a plain function."
        )


def _done(result: Any) -> Any:
    """Return the result of a function whose work is done, and refuse one that has only begun it."""
    if isinstance(result, Awaitable) or inspect.isgenerator(result) or inspect.isasyncgen(result):
        raise InvalidInputError(
            f"The function returned {type(result).__name__!r}, which has not done its work yet. Finish the work before "
            f"returning."
        )
    return result


def _filling(function: Callable[..., Any]) -> Callable[..., Any]:
    """Pass on what the function's caller gave, and the write if the function has a parameter for it."""
    parameters = inspect.signature(function).parameters
    position = list(parameters).index(FILLED) if _is_filled(parameters) else None

    def call(write: PartitionWrite, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if position is None:
            return function(*args, **kwargs)
        if position < len(args):
            return function(*args[:position], write, *args[position:], **kwargs)
        return function(*args, **kwargs, **{FILLED: write})

    return call


def _is_filled(parameters: Mapping[str, inspect.Parameter]) -> bool:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return FILLED in parameters and parameters[FILLED].kind in kinds


def _look_like(function: Callable[..., Any], written: Any) -> None:
    """Copy what Airflow reads of a function when it makes a task of it."""
    signature = inspect.signature(function)
    if _is_filled(signature.parameters):
        others = [each for name, each in signature.parameters.items() if name != FILLED]
        signature = signature.replace(parameters=others)
    written.__signature__ = signature
    setattr(written, WRITES_PARTITION, True)

    def returning() -> None: ...

    # Airflow resolves the names in it where the function is defined, which to Airflow would be here.
    with suppress(Exception):
        returning.__annotations__ = {"return": function.__annotations__["return"]}
        resolved = get_type_hints(returning, function.__globals__)
        written.__annotations__ = {**function.__annotations__, **resolved}
