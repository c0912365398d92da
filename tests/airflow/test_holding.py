"""Holding a lock while code works: renewing, losing and releasing it, through outages and accidents."""

# ruff: noqa: PT012, SIM117 - what is raised is raised by the end of the block

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException, TaskDeferred
from airflow.triggers.testing import SuccessTrigger

from airflow_provider_partition_registry.decorators.partition_registry import PartitionWrite, write_partition
from airflow_provider_partition_registry.domain.errors import (
    InvalidInputError,
    PartitionLockedError,
    StoreUnavailableError,
)
from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import EventType, PartitionKey, PartitionState
from airflow_provider_partition_registry.runtime.errors import LockLostError, WriteInterruptedError
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.factory import open_store
from testbed.processes import wait_until
from testbed.proxy import LosingProxy
from tests.airflow.registries import DAY, IN_CONNECTION, THE_DAY, Connect, publish, the_partition
from tests.airflow.writers import in_task

pytestmark = pytest.mark.usefixtures("as_task")

TIMEOUT = 120.0  # seconds until a test gives up on what it awaits
FORKS = multiprocessing.get_context("fork")


def until(condition: Callable[[], object], what: str) -> None:
    wait_until(condition, what=what, timeout=TIMEOUT, interval=0.02)


def renewals(registry: RegistryStore) -> int:
    events = registry.events(source_name="sales").items
    return sum(event.type is EventType.RENEW for event in events)


def is_expired(registry: RegistryStore) -> bool:
    return the_partition(registry).state is PartitionState.EXPIRED


def take_away(registry: RegistryStore) -> None:
    """Do as a person who thinks that the task hangs; then somebody else writes."""
    registry.force_release(PartitionKey("sales", "loader", THE_DAY), reason="it hangs", by="an operator")
    registry.lock(PartitionKey("sales", "loader", THE_DAY), holder="somebody")


def take_over(registry: RegistryStore) -> None:
    """Let somebody else write when the lease is over."""
    until(lambda: is_expired(registry), "the lease to be over")
    registry.lock(PartitionKey("sales", "loader", THE_DAY), holder="somebody")


def check_untouched(registry: RegistryStore) -> None:
    """Check that this task has not touched what somebody else is writing now."""
    partition = the_partition(registry)
    assert (partition.state, partition.lock.holder.identity) == (PartitionState.LOCKED, "somebody")


@pytest.fixture
def outage(registry_url: str, connect: Connect) -> Callable[[], Any]:
    """Makes the registry refuse all writes for a while."""
    connect(registry_url, extra=IN_CONNECTION | {"timeout": "0.2"})

    @contextmanager
    def happening() -> Iterator[None]:
        other = sqlite3.connect(registry_url.removeprefix("sqlite:///"), isolation_level=None, timeout=60)
        other.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            other.close()

    return happening


@pytest.fixture
def warned(caplog: pytest.LogCaptureFixture) -> Callable[[str], bool]:
    """Says whether a text is in the log."""
    caplog.set_level(logging.INFO)
    return lambda text: text in caplog.text


class TestEndings:
    def test_published(self, registry: RegistryStore) -> None:
        with write_partition(**DAY) as write:
            locked = the_partition(registry)
            assert locked.state is PartitionState.LOCKED
            assert locked.lock.expires_at - locked.lock.locked_at == timedelta(minutes=5)
            assert locked.lock.holder.identity == "here/a_dag/a_run/a_task"
            address = (write.source_name, write.provider_name, write.interval, write.generation)
            assert address == ("sales", "loader", THE_DAY, 1)
            write.require_lock()
        assert the_partition(registry).state is PartitionState.READY

    @pytest.mark.parametrize(
        "error",
        [
            ValueError("disk full"),
            AirflowFailException("disk full"),
            SystemExit("disk full"),
            KeyboardInterrupt("disk full"),
        ],
    )
    def test_failed(self, error: BaseException, registry: RegistryStore) -> None:
        with pytest.raises(type(error)) as raised, write_partition(**DAY):
            raise error
        assert raised.value is error
        partition = the_partition(registry)
        assert partition.state is PartitionState.FAILED
        assert type(error).__name__ in partition.reason
        assert "disk full" in partition.reason

    def test_released(self, registry: RegistryStore) -> None:
        publish(registry)
        before = the_partition(registry)
        with pytest.raises(AirflowSkipException), write_partition(**DAY):
            raise AirflowSkipException("nothing new")
        after = the_partition(registry)
        assert (after.state, after.published_at) == (PartitionState.READY, before.published_at)

    def test_what_a_killed_try_may_have_written_is_not_released(self, registry: RegistryStore) -> None:
        publish(registry)
        registry.lock(PartitionKey("sales", "loader", THE_DAY), holder="here/a_dag/a_run/a_task")
        with pytest.raises(AirflowSkipException), write_partition(**DAY):
            raise AirflowSkipException("nothing new")
        partition = the_partition(registry)
        assert partition.state is PartitionState.FAILED
        assert "an earlier try of it was killed" in partition.reason

    def test_a_task_that_tries_to_defer_fails(self, registry: RegistryStore) -> None:
        with pytest.raises(WriteInterruptedError, match="nobody would renew"), write_partition(**DAY):
            raise TaskDeferred(trigger=SuccessTrigger(), method_name="execute_complete")
        partition = the_partition(registry)
        assert partition.state is PartitionState.FAILED
        assert "cannot defer" in partition.reason

    def test_a_retry_takes_up_its_own_lock(self, registry: RegistryStore) -> None:
        registry.lock(
            PartitionKey("sales", "loader", THE_DAY), register=True, holder="here/a_dag/a_run/a_task"
        )
        with write_partition(**DAY) as write:
            assert write.generation == 2
        assert the_partition(registry).state is PartitionState.READY


class TestConflict:
    @pytest.fixture(autouse=True)
    def locked_by_somebody(self, registry: RegistryStore) -> None:
        registry.lock(PartitionKey("sales", "loader", THE_DAY), register=True, holder="somebody")

    def test_refused(self, registry: RegistryStore) -> None:
        with pytest.raises(PartitionLockedError, match="somebody"), write_partition(**DAY):
            pytest.fail("wrote without the lock")
        check_untouched(registry)

    def test_waited_for(self, registry: RegistryStore, warned: Callable[[str], bool]) -> None:
        def unlock() -> None:
            until(lambda: warned("Still waiting."), "a warning")
            registry.unlock(PartitionKey("sales", "loader", THE_DAY), holder="somebody")

        other = threading.Thread(target=unlock)
        other.start()
        with write_partition(**DAY, on_conflict="wait", poke_interval=0.05) as write:
            assert write.generation == 2
        other.join()

    def test_waited_for_until_the_timeout(self, registry: RegistryStore) -> None:
        waiting = write_partition(**DAY, on_conflict="wait", poke_interval=60, timeout=timedelta(seconds=0.1))
        with pytest.raises(PartitionLockedError), waiting:
            pytest.fail("wrote without the lock")


class TestNesting:
    def test_two_sources(self, registry: RegistryStore) -> None:
        with write_partition(**DAY), write_partition(**DAY | {"source_name": "clicks"}):
            assert the_partition(registry).state is PartitionState.LOCKED
            assert the_partition(registry, "clicks").state is PartitionState.LOCKED
        assert the_partition(registry).state is PartitionState.READY
        assert the_partition(registry, "clicks").state is PartitionState.READY

    def test_the_same_partition_twice(self, registry: RegistryStore) -> None:
        with write_partition(**DAY) as write:
            with pytest.raises(InvalidInputError, match="already being written by this task"):
                with write_partition(**DAY):
                    pytest.fail("wrote it twice")
            assert the_partition(registry).generation == write.generation
        assert the_partition(registry).state is PartitionState.READY
        with write_partition(**DAY):
            pass  # one after the other is not nested

    def test_threads_of_a_task(self, registry: RegistryStore) -> None:
        def work(source_name: str) -> None:
            with write_partition(**DAY | {"source_name": source_name}):
                pass

        threads = [threading.Thread(target=work, args=(source,)) for source in ("sales", "clicks")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert the_partition(registry).state is PartitionState.READY
        assert the_partition(registry, "clicks").state is PartitionState.READY


class TestRenewal:
    def test_work_outlasts_its_lease(self, registry: RegistryStore) -> None:
        with write_partition(**DAY, lease=1) as write:
            until(lambda: renewals(registry) >= 4, "four renewals")
            write.require_lock()
        assert the_partition(registry).state is PartitionState.READY

    def test_ends_with_the_work(self, registry: RegistryStore) -> None:
        with write_partition(**DAY, lease=1):
            pass
        until(
            lambda: "partition-lease" not in [thread.name for thread in threading.enumerate()],
            "its thread to end",
        )

    def test_no_lease_can_be_shorter_than_a_renewal(self) -> None:
        with pytest.raises(InvalidInputError, match="at least a second"):
            write_partition(**DAY, lease=timedelta(milliseconds=20))
        with pytest.raises(InvalidInputError, match="not None"):
            write_partition(**DAY, lease=None)


class TestLoss:
    def test_by_force(self, registry: RegistryStore, warned: Callable[[str], bool]) -> None:
        with pytest.raises(LockLostError, match="held by somebody since"), write_partition(**DAY, lease=1):
            take_away(registry)
            until(lambda: warned("was lost while it was written"), "a warning")
        check_untouched(registry)

    def test_stops_the_code_at_its_next_check(
        self, registry: RegistryStore, warned: Callable[[str], bool]
    ) -> None:
        with pytest.raises(LockLostError, match="held by somebody since"):
            with write_partition(**DAY, lease=1) as write:
                take_away(registry)
                until(lambda: warned("was lost while it was written"), "a warning")
                write.require_lock()
        check_untouched(registry)

    def test_is_noticed_at_the_end_if_no_renewal_noticed_it(self, registry: RegistryStore) -> None:
        with pytest.raises(LockLostError, match="held by somebody since"), write_partition(**DAY):
            take_away(registry)
        check_untouched(registry)

    def test_to_a_writer_that_has_published_already(self, registry: RegistryStore) -> None:
        with pytest.raises(LockLostError, match="is ready since"), write_partition(**DAY):
            take_away(registry)
            registry.unlock(PartitionKey("sales", "loader", THE_DAY), holder="somebody")
        assert the_partition(registry).generation == 2

    def test_while_the_work_fails(self, registry: RegistryStore, warned: Callable[[str], bool]) -> None:
        with pytest.raises(ValueError, match="disk full"), write_partition(**DAY):
            take_away(registry)
            raise ValueError("disk full")
        check_untouched(registry)
        assert warned("cannot be marked as failed")

    def test_by_withdrawing_the_partition(self, registry: RegistryStore) -> None:
        with pytest.raises(LockLostError), write_partition(**DAY):
            registry.withdraw(PartitionKey("sales", "loader", THE_DAY), reason="retired", by="an operator")
        assert the_partition(registry).state is PartitionState.REGISTERED


class TestOutage:
    def test_shorter_than_the_lease(
        self, outage: Callable[[], Any], registry: RegistryStore, warned: Callable[[str], bool]
    ) -> None:
        with write_partition(**DAY, lease=1):
            with outage():
                until(lambda: warned("The lease cannot be renewed"), "a warning")
            before = renewals(registry)
            until(lambda: renewals(registry) > before, "a renewal")
        assert the_partition(registry).state is PartitionState.READY

    def test_longer_than_the_lease_but_nobody_took_over(
        self, outage: Callable[[], Any], registry: RegistryStore
    ) -> None:
        with write_partition(**DAY, lease=1) as write:
            with outage():
                until(lambda: is_expired(registry), "the lease to be over")
            write.require_lock()
        assert the_partition(registry).state is PartitionState.READY

    def test_work_whose_check_failed_is_not_published(
        self, outage: Callable[[], Any], registry: RegistryStore
    ) -> None:
        with pytest.raises(LockLostError, match="cannot be proved"), write_partition(**DAY, lease=1) as write:
            with outage():
                until(lambda: is_expired(registry), "the lease to be over")
                with pytest.raises(LockLostError, match="cannot be proved"):
                    write.require_lock()
            with pytest.raises(LockLostError, match="cannot be proved"):
                write.require_lock()
        assert the_partition(registry).state is not PartitionState.READY

    def test_in_which_somebody_else_took_over(
        self, registry: RegistryStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Only this task cannot reach the registry."""

        def cannot(*_: Any, **__: Any) -> None:
            raise StoreUnavailableError("no route to host")

        with pytest.raises(LockLostError, match="held by somebody since"), write_partition(**DAY, lease=1):
            with monkeypatch.context() as cut_off:
                cut_off.setattr(type(registry), "renew", cannot)
                take_over(registry)
        check_untouched(registry)

    def test_at_the_end_of_the_work(
        self, outage: Callable[[], Any], registry: RegistryStore, warned: Callable[[str], bool]
    ) -> None:
        begun = threading.Event()

        def happen() -> None:
            with outage():
                begun.set()
                until(lambda: warned("the registry could not be told yet"), "a warning")

        meanwhile = threading.Thread(target=happen)
        with write_partition(**DAY, lease=60):
            meanwhile.start()
            begun.wait(TIMEOUT)
        meanwhile.join()
        assert the_partition(registry).state is PartitionState.READY

    def test_that_does_not_end(self, outage: Callable[[], Any], registry: RegistryStore) -> None:
        with (
            ExitStack() as happening,
            pytest.raises(StoreUnavailableError, match="The work is done"),
            write_partition(**DAY, lease=1),
        ):
            happening.enter_context(outage())
        assert the_partition(registry).state is not PartitionState.READY

    def test_when_the_work_fails(
        self, outage: Callable[[], Any], registry: RegistryStore, warned: Callable[[str], bool]
    ) -> None:
        """The error of the work counts, whatever the registry does."""
        with ExitStack() as happening, pytest.raises(ValueError, match="disk full"), write_partition(**DAY):
            happening.enter_context(outage())
            raise ValueError("disk full")
        assert warned("cannot be marked as failed")
        assert the_partition(registry).state is PartitionState.LOCKED

    @pytest.mark.postgres
    def test_of_the_network(
        self,
        postgres_registry: RegistryStore,
        postgres_url: str,
        connect: Connect,
        warned: Callable[[str], bool],
    ) -> None:
        from sqlalchemy.engine import make_url

        url = make_url(postgres_url)
        with LosingProxy(url.port) as proxy:
            behind = url.set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)
            connect(behind, extra=IN_CONNECTION | {"timeout": "0.3"})
            with write_partition(**DAY, lease=2):
                proxy.hold()
                until(lambda: warned("The lease cannot be renewed"), "a warning")
                proxy.release()
                before = renewals(postgres_registry)
                until(lambda: renewals(postgres_registry) > before, "a renewal")
        assert the_partition(postgres_registry).state is PartitionState.READY


def stop_between_renewals(writer: Any, registry_url: str) -> None:
    """Stop it between two renewals: stopped in the middle of one it would hold SQLite's lock, and nobody could lock."""
    with open_store(registry_url, timeout=0.2) as store:
        while True:
            os.kill(writer.pid, signal.SIGSTOP)
            try:
                store.register_source("nothing", "nobody")
                return
            except StoreUnavailableError:
                os.kill(writer.pid, signal.SIGCONT)


class TestProcesses:
    """The task is a process of its own that is killed, stopped or forked."""

    @pytest.fixture
    def writer(self, registry: RegistryStore) -> Iterator[Any]:
        self.conversation, its_end = FORKS.Pipe()

        def work() -> None:
            try:
                with in_task(), write_partition(**DAY, lease=1):
                    its_end.send("begun")
                    its_end.recv()
            except LockLostError as error:
                its_end.send(str(error))
            else:
                its_end.send("published")

        process = FORKS.Process(target=work)
        process.start()
        assert self.conversation.recv() == "begun"
        yield process
        process.kill()
        process.join()

    def test_killed(self, writer: Any, registry: RegistryStore) -> None:
        writer.kill()
        writer.join()
        until(lambda: is_expired(registry), "the lease to be over")
        with write_partition(**DAY) as retried:
            assert retried.generation == 2
        assert the_partition(registry).state is PartitionState.READY

    def test_stopped_and_replaced(self, writer: Any, registry: RegistryStore, registry_url: str) -> None:
        stop_between_renewals(writer, registry_url)
        take_over(registry)
        self.conversation.send("end")
        os.kill(writer.pid, signal.SIGCONT)
        assert "held by somebody since" in self.conversation.recv()
        check_untouched(registry)

    def test_stopped_and_not_replaced(self, writer: Any, registry: RegistryStore) -> None:
        os.kill(writer.pid, signal.SIGSTOP)
        until(lambda: is_expired(registry), "the lease to be over")
        self.conversation.send("end")
        os.kill(writer.pid, signal.SIGCONT)
        assert self.conversation.recv() == "published"

    @pytest.mark.parametrize("fails", [False, True])
    def test_a_fork_of_the_task_decides_nothing(self, fails: bool, registry: RegistryStore) -> None:
        parent = os.getpid()
        try:
            with write_partition(**DAY):
                child = os.fork()
                if child == 0 and fails:
                    raise ValueError("of the child")
                if child:
                    os.waitpid(child, 0)
                    assert the_partition(registry).state is PartitionState.LOCKED
        finally:
            if os.getpid() != parent:
                os._exit(0)
        assert the_partition(registry).state is PartitionState.READY

    def test_a_fork_of_the_task_can_ask_for_the_lock(self, registry: RegistryStore) -> None:
        def ask(write: PartitionWrite) -> None:
            until(lambda: not write._is_lease_known_to_last, "doubts about the lease")
            try:
                write.require_lock()
            except LockLostError:
                os._exit(1)
            os._exit(0)

        codes = []
        with pytest.raises(LockLostError), write_partition(**DAY, lease=1) as write:
            for meanwhile in (lambda: None, lambda: take_away(registry)):
                meanwhile()
                child = FORKS.Process(target=ask, args=(write,))
                child.start()
                child.join()
                codes.append(child.exitcode)
        assert codes == [0, 1]


def test_a_longer_partition_around_it(registry: RegistryStore) -> None:
    """A task that writes a day also writes an hour inside it."""
    hour = Interval("2026-11-01T05:00", "2026-11-01T06:00")
    with write_partition(**DAY):
        with write_partition(source_name="sales", start=hour.start, end=hour.end):
            pass
        assert not registry.check_readiness("sales", hour).is_ready
    assert registry.check_readiness("sales", THE_DAY).is_ready
