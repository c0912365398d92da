"""What type checkers see of the package's public names; at run time they are looked up when they are used."""

from airflow_provider_partition_registry.assets.partition_registry import (
    source_asset as source_asset,
)
from airflow_provider_partition_registry.decorators.partition_registry import (
    PartitionWrite as PartitionWrite,
    write_partition as write_partition,
    writes_partition as writes_partition,
)
from airflow_provider_partition_registry.domain.errors import (
    AccessDeniedError as AccessDeniedError,
    AdministratorTokenError as AdministratorTokenError,
    AlreadyRegisteredError as AlreadyRegisteredError,
    ConsentRequiredError as ConsentRequiredError,
    GonePositionError as GonePositionError,
    HostNotFoundError as HostNotFoundError,
    InvalidInputError as InvalidInputError,
    InvalidIntervalError as InvalidIntervalError,
    InvalidNameError as InvalidNameError,
    InvalidTokenError as InvalidTokenError,
    LostPositionError as LostPositionError,
    NoGrantError as NoGrantError,
    NotLockHolderError as NotLockHolderError,
    PartitionAlreadyRegisteredError as PartitionAlreadyRegisteredError,
    PartitionLockedError as PartitionLockedError,
    PartitionStateError as PartitionStateError,
    ProviderAlreadyRegisteredError as ProviderAlreadyRegisteredError,
    PrunedPositionError as PrunedPositionError,
    RegistryError as RegistryError,
    RegistryFileMissingError as RegistryFileMissingError,
    SchemaBlockedError as SchemaBlockedError,
    SchemaDamagedError as SchemaDamagedError,
    SchemaError as SchemaError,
    SchemaMissingError as SchemaMissingError,
    SchemaNewerError as SchemaNewerError,
    SchemaOutdatedError as SchemaOutdatedError,
    SourceAlreadyRegisteredError as SourceAlreadyRegisteredError,
    StoreRefusedError as StoreRefusedError,
    StoreUnavailableError as StoreUnavailableError,
    TokenRequiredError as TokenRequiredError,
    TooManyAttemptsError as TooManyAttemptsError,
    UnknownError as UnknownError,
    UnknownPartitionError as UnknownPartitionError,
    UnknownProviderError as UnknownProviderError,
    UnknownSourceError as UnknownSourceError,
    UnknownTokenError as UnknownTokenError,
)
from airflow_provider_partition_registry.domain.explanation import (
    explain as explain,
)
from airflow_provider_partition_registry.domain.grains import (
    Grain as Grain,
    interval_at as interval_at,
)
from airflow_provider_partition_registry.domain.intervals import (
    Instant as Instant,
    Interval as Interval,
)
from airflow_provider_partition_registry.domain.models import (
    Event as Event,
    EventType as EventType,
    GrainEvent as GrainEvent,
    GrainPage as GrainPage,
    HistoryPage as HistoryPage,
    Holder as Holder,
    Lock as Lock,
    LockCounts as LockCounts,
    Page as Page,
    Partition as Partition,
    PartitionKey as PartitionKey,
    PartitionState as PartitionState,
)
from airflow_provider_partition_registry.domain.principals import (
    AccessToken as AccessToken,
    IssuedToken as IssuedToken,
    Principal as Principal,
    PrincipalKind as PrincipalKind,
    Provider as Provider,
    ProviderRegistration as ProviderRegistration,
    Source as Source,
    SourceRegistration as SourceRegistration,
)
from airflow_provider_partition_registry.domain.questions import (
    Answer as Answer,
    Question as Question,
    Readiness as Readiness,
)
from airflow_provider_partition_registry.domain.requests import (
    ChangeRequest as ChangeRequest,
    Decision as Decision,
    DecisionRequest as DecisionRequest,
    Ending as Ending,
    FinishRequest as FinishRequest,
    LockRequest as LockRequest,
    RenewRequest as RenewRequest,
)
from airflow_provider_partition_registry.domain.viewing import (
    Blockage as Blockage,
    Lane as Lane,
    Mark as Mark,
    SourceOverview as SourceOverview,
    Stretch as Stretch,
    Timeline as Timeline,
)
from airflow_provider_partition_registry.hooks.partition_registry import (
    PartitionRegistryHook as PartitionRegistryHook,
)
from airflow_provider_partition_registry.notifications.partition_registry import (
    PartitionLockHeldNotifier as PartitionLockHeldNotifier,
    PartitionNotReadyNotifier as PartitionNotReadyNotifier,
)
from airflow_provider_partition_registry.operators.partition_registry import (
    PartitionLockOperator as PartitionLockOperator,
    PartitionRegisterOperator as PartitionRegisterOperator,
    PartitionUnlockOperator as PartitionUnlockOperator,
)
from airflow_provider_partition_registry.operators.reading import (
    PartitionReadinessBranchOperator as PartitionReadinessBranchOperator,
    PartitionReadinessShortCircuitOperator as PartitionReadinessShortCircuitOperator,
    PartitionUnchangedOperator as PartitionUnchangedOperator,
)
from airflow_provider_partition_registry.operators.reconciliation import (
    PartitionReconcileOperator as PartitionReconcileOperator,
)
from airflow_provider_partition_registry.proof.parsing import (
    LeaseTooShortWarning as LeaseTooShortWarning,
)
from airflow_provider_partition_registry.runtime.connections import (
    RegistryConnectionNotFoundError as RegistryConnectionNotFoundError,
)
from airflow_provider_partition_registry.runtime.errors import (
    LockLostError as LockLostError,
    LockNotTakenError as LockNotTakenError,
    UpstreamFailedError as UpstreamFailedError,
    WaitFailedError as WaitFailedError,
    WriteInterruptedError as WriteInterruptedError,
)
from airflow_provider_partition_registry.sensors.partition_registry import (
    PartitionReadinessSensor as PartitionReadinessSensor,
)
from airflow_provider_partition_registry.store.contract import (
    Listener as Listener,
    RegistryReader as RegistryReader,
    RegistryStore as RegistryStore,
)
from airflow_provider_partition_registry.store.factory import (
    open_store as open_store,
)
from airflow_provider_partition_registry.task_groups.partition_registry import (
    PartitionLockGroup as PartitionLockGroup,
    partition_lock as partition_lock,
)
from airflow_provider_partition_registry.triggers.partition_events import (
    PartitionEventTrigger as PartitionEventTrigger,
)
from airflow_provider_partition_registry.triggers.partition_registry import (
    PartitionReadinessTrigger as PartitionReadinessTrigger,
)

__version__: str
