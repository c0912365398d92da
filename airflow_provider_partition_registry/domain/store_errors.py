"""What can be wrong with a store as a whole, whatever it is asked.

The whole tree is in :mod:`~airflow_provider_partition_registry.domain.errors`, from where everybody else imports it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_partition_registry.domain.invalid_input import RegistryError

if TYPE_CHECKING:  # importing an operator, as parsing a DAG file does, stays cheap
    from collections.abc import Sequence


class SchemaError(RegistryError):
    """The tables in the store do not fit this version of the package."""

    code = "schema"


class SchemaMissingError(SchemaError):
    """The database holds no registry yet."""

    code = "schema_missing"

    def __init__(self, database: str) -> None:
        super().__init__(
            f"No partition registry in {database}. Create its tables with: partition-registry db upgrade"
        )


class RegistryFileMissingError(SchemaMissingError):
    """The file of a SQLite registry does not exist yet."""

    code = "registry_file_missing"

    def __init__(self, file: str) -> None:
        RegistryError.__init__(
            self,
            f"There is no file {file} on this host. Check the path; if it is right, the first write to the registry "
            f"creates the file.",
        )


class SchemaOutdatedError(SchemaError):
    """The database was last upgraded by an older version."""

    code = "schema_outdated"

    def __init__(self, database: str, found: str, expected: str) -> None:
        super().__init__(
            f"The partition registry in {database} has schema {found}, this version needs {expected}. "
            f"Bring it up to date with: partition-registry db upgrade"
        )


class SchemaNewerError(SchemaError):
    """The database was upgraded by a newer version, to a schema that this one cannot use."""

    code = "schema_newer"

    def __init__(self, database: str, found: str, expected: str) -> None:
        super().__init__(
            f"The partition registry in {database} has schema {found}, which is newer than the {expected} this "
            f"version knows, and does not serve it. Upgrade airflow-provider-partition-registry here."
        )


class SchemaBlockedError(SchemaError):
    """An upgrade found rows that break constraints of the new schema; nothing was changed.

    :param count: how many rows.
    :param rows: the first of them, each by its table and key with the constraints that it breaks.
    """

    code = "schema_blocked"

    def __init__(self, database: str, wanted: str, count: int, rows: Sequence[str]) -> None:
        rest = count - len(rows)
        more = f"; and {rest} more" if rest else ""
        super().__init__(
            f"The partition registry in {database} cannot be brought to schema {wanted} and stays as it is. Rows that "
            f"no call could have written ({count}): {'; '.join(rows)}{more}. The version that it was made for says "
            f"more with: partition-registry db verify. With --repair it recomputes what follows from other rows; "
            f"what is left needs a person, or a backup. Then upgrade again."
        )
        self.count = count
        self.rows = tuple(rows)


class SchemaDamagedError(SchemaError):
    """Somebody dropped some of the registry's tables and left the others."""

    code = "schema_damaged"

    def __init__(self, database: str, missing: Sequence[str], *, is_repairable: bool) -> None:
        remedy = (
            "They can be recomputed from the others: partition-registry db verify --repair"
            if is_repairable
            else "An upgrade cannot bring back what they held; restore them from a backup."
        )
        super().__init__(
            f"The partition registry in {database} is damaged. Missing: {', '.join(missing)}. {remedy}"
        )
        self.missing = tuple(missing)
        self.is_repairable = is_repairable


class StoreRefusedError(RegistryError):
    """The store answers, but refuses what the registry needs: rights are missing, it is read-only, or damaged.

    Repeating the call does not help; the message says what to do.
    """

    code = "store_refused"


class HostNotFoundError(StoreRefusedError):
    """The name of the store's host does not resolve, and never has in this process."""

    code = "host_not_found"

    def __init__(self, registry: str, host: str) -> None:
        super().__init__(
            f"There is no host {host!r}, where the registry at {registry} should be. Check the name, and whether it is "
            f"known to the host that asks. Waiting does not help."
        )
        self.host = host


class StoreUnavailableError(RegistryError):
    """The store is down, unreachable or too slow. The call may be repeated.

    A lock holder may safely repeat its calls: a lock is re-entrant (R3), and a finished unlock or fail is answered
    again without a change (R4). If the answer with a new token was lost, rotate the token again; revoking twice is
    safe (R10). Registering, and what people decide by hand (R6), is refused the second time if it took effect.
    """

    code = "store_unavailable"


class TooManyAttemptsError(StoreUnavailableError):
    """Too many wrong access tokens came from the caller's address. This call's token is wrong, or was not checked.

    :param retry_after: seconds after which the call may be repeated.
    """

    code = "too_many_attempts"

    def __init__(self, retry_after: int) -> None:
        super().__init__(
            f"Too many wrong access tokens came from this address. Try again in {retry_after} s, and find out which "
            f"client there uses an unknown, expired or revoked token."
        )
        self.retry_after = retry_after
