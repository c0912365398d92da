"""Examples of answers for the OpenAPI description. They are values of the domain, so that they match real answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import (
    Event,
    EventType,
    GrainEvent,
    GrainPage,
    Holder,
    Lock,
    Partition,
    PartitionState,
)
from airflow_provider_partition_registry.domain.principals import (
    AccessToken,
    IssuedToken,
    Principal,
    PrincipalKind,
    Provider,
    ProviderRegistration,
    Source,
    SourceRegistration,
)
from airflow_provider_partition_registry.domain.questions import Question, Readiness
from airflow_provider_partition_registry.domain.viewing import Blockage, SourceOverview, Stretch, Timeline
from airflow_provider_partition_registry.store.wire.conditions import ConditionAnswer, PartAnswerOrProblem

NOW = datetime(2026, 11, 2, 1, 30, tzinfo=UTC)
DAY = Interval("2026-11-01", "2026-11-02")
NEXT_DAY = Interval("2026-11-02", "2026-11-03")
SECRET = "prs_0123456789abcdef_…"  # noqa: S105 - what one looks like

SOURCE = Source("sales", "data-team@example.com", NOW, id=1, uri="s3://bucket/sales")
PROVIDER = Provider("nightly-load", NOW, id=1, source_names=("sales",))
TOKEN = AccessToken("0123456789abcdef", Principal(PrincipalKind.PROVIDER, "nightly-load"), NOW)
SOURCE_REGISTRATION = SourceRegistration(SOURCE, SECRET)
PROVIDER_REGISTRATION = ProviderRegistration(PROVIDER, SECRET)
ISSUED = IssuedToken(TOKEN, SECRET)

LOCK = Lock(Holder("host-1/nightly", {"host": "host-1"}), 1, NOW, NOW + timedelta(minutes=15))
REGISTERED = Partition("sales", "nightly-load", DAY, PartitionState.REGISTERED, 0, NOW, NOW, id=1)
LOCKED = Partition("sales", "nightly-load", DAY, PartitionState.LOCKED, 1, NOW, NOW, LOCK, id=1)
READY = Partition(
    "sales", "nightly-load", DAY, PartitionState.READY, 1, NOW, NOW, LOCK, published_at=NOW, id=1
)
RELEASED = Partition(
    "sales",
    "nightly-load",
    DAY,
    PartitionState.READY,
    2,
    NOW,
    NOW,
    published_at=NOW,
    released_by="host-1/nightly",
    id=1,
)
FAILED = Partition("sales", "nightly-load", DAY, PartitionState.FAILED, 1, NOW, NOW, LOCK, "disk full", id=1)

NOT_READY = Readiness(
    Question("sales", Interval("2026-11-01", "2026-11-03")),
    is_ready=False,
    as_of=4,
    gaps=(NEXT_DAY,),
    blockers=(LOCKED,),
)
GRAINS = GrainPage((GrainEvent("sales", DAY, 5, NOW, "5"),), None, "7")
ALMOST_READY = Readiness(
    Question("clicks", DAY), is_ready=False, as_of=4, gaps=(Interval("2026-11-01T23:00", DAY.end),)
)
CONDITION_ANSWER = ConditionAnswer(
    is_met=True,
    is_partial=True,
    answers=(PartAnswerOrProblem(ALMOST_READY, 23 / 24, ALMOST_READY.gaps),),
)
EVENT = Event(4, EventType.LOCK, NOW, "sales", "nightly-load", DAY, "host-1/nightly", 1)

OVERVIEW = SourceOverview(
    SOURCE, Interval(DAY.start, NEXT_DAY.end), DAY, (Blockage(PartitionState.LOCKED, 1, NOW),)
)
TIMELINE = Timeline("sales", Interval(DAY.start, NEXT_DAY.end), 4, (Stretch(DAY, is_whole=True),), (READY,))
