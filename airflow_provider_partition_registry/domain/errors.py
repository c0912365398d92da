"""Every error the registry raises.

::

    RegistryError
    ├── InvalidInputError (ValueError)          the call itself is malformed
    │   ├── InvalidIntervalError
    │   └── InvalidNameError
    ├── UnknownError (LookupError)              the call names something that is not registered
    │   ├── UnknownSourceError
    │   ├── UnknownProviderError
    │   ├── UnknownPartitionError
    │   └── UnknownTokenError
    ├── GonePositionError                       the history does not hold the position any more
    │   ├── LostPositionError                   it was lost when a backup was restored
    │   └── PrunedPositionError                 what came after it was removed when the history was pruned
    ├── AlreadyRegisteredError
    │   ├── SourceAlreadyRegisteredError
    │   ├── ProviderAlreadyRegisteredError
    │   └── PartitionAlreadyRegisteredError
    ├── PartitionStateError                     the partition's state does not allow the call
    │   ├── PartitionLockedError                somebody else holds the lock
    │   └── NotLockHolderError                  the lock is not, or no longer, the caller's
    ├── AccessDeniedError
    │   ├── TokenRequiredError
    │   ├── InvalidTokenError
    │   ├── AdministratorTokenError
    │   ├── ConsentRequiredError
    │   └── NoGrantError
    ├── SchemaError                             the store's tables do not fit this version
    │   ├── SchemaMissingError
    │   │   └── RegistryFileMissingError
    │   ├── SchemaOutdatedError
    │   ├── SchemaNewerError
    │   ├── SchemaBlockedError
    │   └── SchemaDamagedError
    ├── StoreRefusedError                       a fault of the store that waiting does not cure
    │   └── HostNotFoundError                   the name of its host is wrong
    └── StoreUnavailableError                   the only kind worth retrying
        └── TooManyAttemptsError

A message says what happened, to what, and what to do next. ``code`` is stable: logs, the command line and the
web service carry it. Two parts of the tree have modules of their own: the root and what malformed values raise are in
:mod:`~airflow_provider_partition_registry.domain.invalid_input`, and what can be wrong with a store as a whole is in
:mod:`~airflow_provider_partition_registry.domain.store_errors`.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from airflow_provider_partition_registry.domain.invalid_input import (
    InvalidInputError,
    InvalidIntervalError,
    InvalidNameError,
    RegistryError,
)
from airflow_provider_partition_registry.domain.store_errors import (
    HostNotFoundError,
    RegistryFileMissingError,
    SchemaBlockedError,
    SchemaDamagedError,
    SchemaError,
    SchemaMissingError,
    SchemaNewerError,
    SchemaOutdatedError,
    StoreRefusedError,
    StoreUnavailableError,
    TooManyAttemptsError,
)

if TYPE_CHECKING:  # so that importing an operator, as parsing a DAG file does, does not import the models
    from airflow_provider_partition_registry.domain.models import Partition, PartitionKey

__all__ = [
    "AccessDeniedError",
    "AdministratorTokenError",
    "AlreadyRegisteredError",
    "ConsentRequiredError",
    "GonePositionError",
    "HostNotFoundError",
    "InvalidInputError",
    "InvalidIntervalError",
    "InvalidNameError",
    "InvalidTokenError",
    "LostPositionError",
    "NoGrantError",
    "NotLockHolderError",
    "PartitionAlreadyRegisteredError",
    "PartitionLockedError",
    "PartitionStateError",
    "ProviderAlreadyRegisteredError",
    "PrunedPositionError",
    "RegistryError",
    "RegistryFileMissingError",
    "SchemaBlockedError",
    "SchemaDamagedError",
    "SchemaError",
    "SchemaMissingError",
    "SchemaNewerError",
    "SchemaOutdatedError",
    "SourceAlreadyRegisteredError",
    "StoreRefusedError",
    "StoreUnavailableError",
    "TokenRequiredError",
    "TooManyAttemptsError",
    "UnknownError",
    "UnknownPartitionError",
    "UnknownProviderError",
    "UnknownSourceError",
    "UnknownTokenError",
]


class UnknownError(RegistryError, LookupError):
    """Something named in the call is not registered."""

    code = "unknown"


class UnknownSourceError(UnknownError):
    """No source has this name (R2: an error of its own, never "not ready")."""

    code = "unknown_source"

    def __init__(self, source_name: str) -> None:
        super().__init__(
            f"Source {source_name!r} is not registered. Check the name, or register it "
            f"(partition-registry source register {shlex.quote(source_name)} --owner ...)."
        )
        self.source_name = source_name


class UnknownProviderError(UnknownError):
    """No provider has this name."""

    code = "unknown_provider"

    def __init__(self, provider_name: str) -> None:
        super().__init__(
            f"Provider {provider_name!r} is not registered. Register it with the access token of the source "
            f"it writes to (partition-registry provider register {shlex.quote(provider_name)})."
        )
        self.provider_name = provider_name


class UnknownPartitionError(UnknownError):
    """The source has no such partition of this provider."""

    code = "unknown_partition"

    def __init__(self, key: PartitionKey) -> None:
        super().__init__(
            f"Partition {key.interval} of source {key.source_name!r} is not registered by provider "
            f"{key.provider_name!r}. Check its start and end, or register it first (a lock can register it, too)."
        )
        self.source_name = key.source_name
        self.provider_name = key.provider_name
        self.interval = key.interval


class UnknownTokenError(UnknownError):
    """No access token has this id."""

    code = "unknown_token"

    def __init__(self, token_id: str) -> None:
        super().__init__(
            f"No access token has the id {token_id!r}. List those of a source or a provider "
            f"(partition-registry token list)."
        )
        self.token_id = token_id


class GonePositionError(RegistryError):
    """The history cannot be followed from this position any more, as it does not hold all that came after it (R9).

    Who followed it from there has missed something: read anew what depends on it, and follow again from
    ``last_position()``.
    """

    code = "gone_position"


class LostPositionError(GonePositionError):
    """A position from a part of the history that a restored backup does not have.

    :param noticed_at: when the restored backup was noticed, for people.
    :param last_before: the last position that the backup has.
    """

    code = "lost_position"

    def __init__(self, position: int, noticed_at: str, last_before: int) -> None:
        super().__init__(
            f"Position {position} is from a part of the history that was lost when the registry was restored from a "
            f"backup, which was noticed at {noticed_at}. Read anew what depends on it, and follow again from "
            f"{last_before} or earlier."
        )
        self.position = position
        self.last_before = last_before


class PrunedPositionError(GonePositionError):
    """A position after which events were removed from the history since (``partition-registry db prune``).

    :param pruned_to: where what is left whole begins: no event after this position was removed.
    :param pruned_before: all that was removed happened before this instant.
    """

    code = "pruned_position"

    def __init__(self, position: int, pruned_to: int, pruned_before: str) -> None:
        super().__init__(
            f"The history after position {position} is not whole any more: it was pruned of what happened before "
            f"{pruned_before}, up to position {pruned_to}. Read anew what depends on it, and follow again from the "
            f"present end, or from {pruned_to} for all that is left."
        )
        self.position = position
        self.pruned_to = pruned_to
        self.pruned_before = pruned_before


class AlreadyRegisteredError(RegistryError):
    """What the call should create exists already; nothing was created."""

    code = "already_registered"


class SourceAlreadyRegisteredError(AlreadyRegisteredError):
    """The source exists. Its access token was answered once, and is not answered again (R10)."""

    code = "source_already_registered"

    def __init__(self, source_name: str) -> None:
        super().__init__(
            f"Source {source_name!r} is already registered. Its access token was shown only then; ask the source's "
            f"owner for it. If it is lost, an administrator can issue a new one (partition-registry token "
            f"rotate --source {shlex.quote(source_name)})."
        )
        self.source_name = source_name


class ProviderAlreadyRegisteredError(AlreadyRegisteredError):
    """The provider already holds the grant that this token gives."""

    code = "provider_already_registered"

    def __init__(self, provider_name: str, source_name: str) -> None:
        super().__init__(
            f"Provider {provider_name!r} is already registered for source {source_name!r}; nothing needs to be done."
        )
        self.provider_name = provider_name
        self.source_name = source_name


class PartitionAlreadyRegisteredError(AlreadyRegisteredError):
    """The provider has registered this very interval before."""

    code = "partition_already_registered"

    def __init__(self, key: PartitionKey) -> None:
        super().__init__(
            f"Partition {key.interval} of source {key.source_name!r} is already registered by provider "
            f"{key.provider_name!r}; nothing needs to be done."
        )
        self.source_name = key.source_name
        self.provider_name = key.provider_name
        self.interval = key.interval


class PartitionStateError(RegistryError):
    """The state of the partition does not allow the call; nothing changed."""

    code = "partition_state"

    def __init__(self, message: str, partition: Partition) -> None:
        super().__init__(message)
        self.partition = partition


class PartitionLockedError(PartitionStateError):
    """Somebody else holds the lock on the partition, or on one that overlaps it (R3).

    ``partition`` is the locked one; its ``lock`` names the holder, since when, and until when.
    """

    code = "partition_locked"


class NotLockHolderError(PartitionStateError):
    """The caller's lock is gone or was never the caller's (R4, R5)."""

    code = "not_lock_holder"


class AccessDeniedError(RegistryError):
    """The caller may not do this."""

    code = "access_denied"


class TokenRequiredError(AccessDeniedError):
    """The call names no caller."""

    code = "token_required"


class InvalidTokenError(AccessDeniedError):
    """The access token is not valid here. The message neither repeats it nor says why."""

    code = "invalid_token"

    def __init__(self) -> None:
        super().__init__(
            "The access token is not valid here: it is unknown, has expired or was revoked. Ask the source's owner "
            "for the right one, or an administrator for a new one (partition-registry token rotate)."
        )


class AdministratorTokenError(AccessDeniedError):
    """The access token is that of a web service's administrator, who is neither a source nor a provider."""

    code = "administrator_token"

    def __init__(self) -> None:
        super().__init__(
            "The access token is that of the service's administrator: it may do everything, but belongs to no source "
            "and no provider. Send the token of a source or a provider for this call."
        )


class ConsentRequiredError(AccessDeniedError):
    """The provider exists and has not agreed to be granted one more source (R10)."""

    code = "consent_required"

    def __init__(self, provider_name: str, source_name: str) -> None:
        super().__init__(
            f"Provider {provider_name!r} exists, and is granted source {source_name!r} as well only if it agrees. If "
            f"it is yours, send its own access token beside the source's: as provider_token, as --provider-token of "
            f"the command line, or, where the source's is a parameter, as the bearer token. The administrator's does "
            f"too. If it is not yours, choose another name."
        )
        self.provider_name = provider_name
        self.source_name = source_name


class NoGrantError(AccessDeniedError):
    """The provider has no grant on the source (R10)."""

    code = "no_grant"

    def __init__(self, provider_name: str, source_name: str) -> None:
        super().__init__(
            f"Provider {provider_name!r} may not write to source {source_name!r}. Register the provider with "
            f"that source's access token to give it the grant."
        )
        self.provider_name = provider_name
        self.source_name = source_name
