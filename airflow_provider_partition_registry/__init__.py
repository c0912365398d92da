"""Partition Registry for Apache Airflow: a registry of data readiness.

What can be imported from here is public, and changes only as the support policy says; everything else may change at any
time. A name is imported when it is first used, so that a DAG file pays only for what it uses.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_NAMES_IN = {
    "assets.partition_registry": ("source_asset",),
    "decorators.partition_registry": ("PartitionWrite", "write_partition", "writes_partition"),
    "hooks.partition_registry": ("PartitionRegistryHook",),
    "notifications.partition_registry": ("PartitionLockHeldNotifier", "PartitionNotReadyNotifier"),
    "operators.partition_registry": (
        "PartitionLockOperator",
        "PartitionRegisterOperator",
        "PartitionUnlockOperator",
    ),
    "operators.reading": (
        "PartitionReadinessBranchOperator",
        "PartitionReadinessShortCircuitOperator",
        "PartitionUnchangedOperator",
    ),
    "operators.reconciliation": ("PartitionReconcileOperator",),
    "sensors.partition_registry": ("PartitionReadinessSensor",),
    "task_groups.partition_registry": ("PartitionLockGroup", "partition_lock"),
    "triggers.partition_events": ("PartitionEventTrigger",),
    "triggers.partition_registry": ("PartitionReadinessTrigger",),
    "proof.parsing": ("LeaseTooShortWarning",),
    "runtime.connections": ("RegistryConnectionNotFoundError",),
    "runtime.errors": (
        "LockLostError",
        "LockNotTakenError",
        "UpstreamFailedError",
        "WaitFailedError",
        "WriteInterruptedError",
    ),
    "store.contract": ("Listener", "RegistryReader", "RegistryStore"),
    "store.factory": ("open_store",),
    "domain.errors": (
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
    ),
    "domain.explanation": ("explain",),
    "domain.grains": ("Grain", "interval_at"),
    "domain.intervals": ("Instant", "Interval"),
    "domain.models": (
        "Event",
        "EventType",
        "GrainEvent",
        "GrainPage",
        "HistoryPage",
        "Holder",
        "Lock",
        "LockCounts",
        "Page",
        "Partition",
        "PartitionKey",
        "PartitionState",
    ),
    "domain.principals": (
        "AccessToken",
        "IssuedToken",
        "Principal",
        "PrincipalKind",
        "Provider",
        "ProviderRegistration",
        "Source",
        "SourceRegistration",
    ),
    "domain.questions": ("Answer", "Question", "Readiness"),
    "domain.requests": (
        "ChangeRequest",
        "Decision",
        "DecisionRequest",
        "Ending",
        "FinishRequest",
        "LockRequest",
        "RenewRequest",
    ),
    "domain.viewing": (
        "Blockage",
        "Lane",
        "Mark",
        "SourceOverview",
        "Stretch",
        "Timeline",
    ),
}
_MODULE_OF = {name: module for module, names in _NAMES_IN.items() for name in names}

__all__ = ["__version__", *_MODULE_OF]  # noqa: PLE0604 - they are texts


def __getattr__(name: str) -> Any:
    try:
        module = _MODULE_OF[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
