"""What becomes of a partition after its command has ended."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from airflow_provider_partition_registry.cli.errors import ExitCode, exit_code_of
from airflow_provider_partition_registry.cli.job.inbox import Inbox
from airflow_provider_partition_registry.cli.job.reporting import Reporter
from airflow_provider_partition_registry.cli.job.retrying import GivenUpError, Retrying
from airflow_provider_partition_registry.domain.errors import RegistryError, StoreUnavailableError
from airflow_provider_partition_registry.domain.intervals import format_instant
from airflow_provider_partition_registry.domain.models import Partition
from airflow_provider_partition_registry.domain.names import MAX_TEXT_LENGTH
from airflow_provider_partition_registry.store.contract import RegistryStore


@dataclass(frozen=True, slots=True)
class Closing:
    """Publishes the partition or marks it as failed, and retries if the registry does not respond.

    :param limit: how long to retry.
    """

    store: RegistryStore
    locked: Partition
    limit: timedelta
    inbox: Inbox
    reporter: Reporter

    def publish(self) -> int:
        """Publish, and return the exit code."""
        try:
            published = self._persist(
                lambda: self.store.unlock(self.locked.key, generation=self.locked.generation)
            )
        except GivenUpError as given_up:
            self._tell_of_remains("The command succeeded.", "published", "unlock", given_up)
            return ExitCode.UNAVAILABLE
        except RegistryError as error:
            self.reporter.warn(
                error.code, f"The command succeeded, but nothing is published. {error.message}"
            )
            return exit_code_of(error)
        self.reporter.inform("published", f"Published {self.locked.key}.", published)
        return ExitCode.DONE

    def fail(self, why: str, last_lines: Sequence[str] = ()) -> None:
        """Mark the partition as failed.

        :param why: a sentence.
        :param last_lines: the command's last lines of standard error.
        """
        reason = _reason(why, last_lines)
        try:
            failed = self._persist(
                lambda: self.store.fail(self.locked.key, generation=self.locked.generation, reason=reason)
            )
        except GivenUpError as given_up:
            self._tell_of_remains(why, "marked as failed", f"fail --reason {shlex.quote(why)}", given_up)
        except RegistryError as error:
            self.reporter.warn(error.code, f"{why} It cannot be marked as failed. {error.message}")
        else:
            self.reporter.warn("failed", f"{why} Marked as failed: {self.locked.key}.", failed)

    def _persist(self, call: Callable[[], Partition]) -> Partition:
        retrying = Retrying(self.limit, (StoreUnavailableError,), "trouble", "Trying again.")
        return retrying.run(call, self.inbox, self.reporter)

    def _tell_of_remains(self, why: str, done: str, command: str, given_up: GivenUpError) -> None:
        key = self.locked.key
        source, provider, interval = key.source_name, key.provider_name, key.interval
        ends = ["--start", format_instant(interval.start), "--end", format_instant(interval.end)]
        place = shlex.join([source, provider, *ends, "--generation", str(self.locked.generation)])
        self.reporter.warn(
            "left_locked",
            f"{why} It cannot be {done}. {given_up.cause.message} As far as is known, {key} is still "
            f"locked, {lock_in_words(self.locked)}: readers go on waiting, and when the lease is over others may take "
            f"the lock over. Once the registry answers: partition-registry {command} {place}",
            self.locked,
        )


def lock_in_words(locked: Partition) -> str:
    """Who holds the lock."""
    return f"by {locked.lock.holder if locked.lock else 'us'}, generation {locked.generation}"


def _reason(why: str, last_lines: Sequence[str]) -> str:
    """The reason of a failure. If it is too long, the end of the command's output is kept."""
    if not last_lines:
        return why
    opening = f"{why} Last lines of its standard error:\n"
    return opening + "\n".join(last_lines)[-(MAX_TEXT_LENGTH - len(opening)) :]
