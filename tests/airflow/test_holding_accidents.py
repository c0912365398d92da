"""Holding a lock while the registry or the network is away, or the task's process is killed, stopped or forked."""

# ruff: noqa: PT012, SIM117 - what is raised is raised by the end of the block

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from airflow_provider_partition_registry.decorators.partition_registry import PartitionWrite, write_partition
from airflow_provider_partition_registry.domain.errors import (
    StoreUnavailableError,
)
from airflow_provider_partition_registry.domain.models import PartitionState
from airflow_provider_partition_registry.runtime.errors import LockLostError
from airflow_provider_partition_registry.store.contract import RegistryStore
from airflow_provider_partition_registry.store.factory import open_store
from testbed.proxy import LosingProxy
from tests.airflow.held import (
    TIMEOUT,
    check_untouched,
    is_expired,
    renewals,
    take_away,
    take_over,
    until,
)
from tests.airflow.registries import DAY, IN_CONNECTION, Connect, the_partition
from tests.airflow.writers import in_task

pytestmark = pytest.mark.usefixtures("as_task")

FORKS = multiprocessing.get_context("fork")


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
