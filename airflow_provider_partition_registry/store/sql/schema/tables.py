"""The tables. Their prefix lets a registry share a database with other applications.

Two of them are derived from ``partition`` and changed in the same transaction:

- ``ready_interval``: per source the maximal ready intervals of R1, disjoint and not touching. A question is
  answered by one probe: does the row with the greatest start at or before ``a`` reach ``b``?
- ``length_class``: per source which lengths of partitions it has. A look-up of the partitions that overlap
  ``[a, b)`` goes back no further than the greatest length of each class, so that one yearly partition does
  not make every look-up among hourly ones scan a year.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    MetaData,
    Sequence,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.store.sql.database.types import RowId, UtcInstant, to_microseconds
from airflow_provider_partition_registry.store.sql.schema import rules

PREFIX = "partition_registry_"
VERSION_TABLE = f"{PREFIX}version"

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

source = Table(
    f"{PREFIX}source",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("owner", Text, nullable=False),
    Column("registered_at", UtcInstant, nullable=False),
    # How many events it has had, so that a lost one is noticed; kept on PostgreSQL, where positions have holes.
    Column("event_count", BigInteger, nullable=False, server_default="0"),
    # The real address of its data.
    Column("uri", Text),
    CheckConstraint("name <> '' AND owner <> ''", name="named"),
    CheckConstraint("uri <> ''", name="addressed"),
    CheckConstraint(rules.instants("registered_at"), name="instants"),
)

provider = Table(
    f"{PREFIX}provider",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("registered_at", UtcInstant, nullable=False),
    # How many events it has had that concern no source.
    Column("event_count", BigInteger, nullable=False, server_default="0"),
    CheckConstraint("name <> ''", name="named"),
    CheckConstraint(rules.instants("registered_at"), name="instants"),
)

grant = Table(
    f"{PREFIX}grant",
    metadata,
    Column("source_id", ForeignKey(source.c.id), primary_key=True),
    Column("provider_id", ForeignKey(provider.c.id), primary_key=True, index=True),
    Column("granted_at", UtcInstant, nullable=False),
    CheckConstraint(rules.instants("granted_at"), name="instants"),
)

access_token = Table(
    f"{PREFIX}access_token",
    metadata,
    Column("id", Text, primary_key=True),
    Column("source_id", ForeignKey(source.c.id), index=True),
    Column("provider_id", ForeignKey(provider.c.id), index=True),
    Column("secret_hash", Text, nullable=False),
    Column("created_at", UtcInstant, nullable=False),
    Column("expires_at", UtcInstant),
    Column("revoked_at", UtcInstant),
    CheckConstraint(rules.ONE_PRINCIPAL, name="one_principal"),
    CheckConstraint(rules.HASHED_SECRET, name="hashed_secret"),
    CheckConstraint(rules.instants("created_at", "expires_at", "revoked_at"), name="instants"),
)

partition = Table(
    f"{PREFIX}partition",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("source_id", ForeignKey(source.c.id), nullable=False),
    Column("provider_id", ForeignKey(provider.c.id), nullable=False),
    Column("interval_start", UtcInstant, nullable=False),
    Column("interval_end", UtcInstant, nullable=False),
    Column("length_class", SmallInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("registered_at", UtcInstant, nullable=False),
    Column("changed_at", UtcInstant, nullable=False),
    Column("published_at", UtcInstant),
    Column("reason", Text),
    Column("holder", Text),
    Column("holder_details", JSON(none_as_null=True)),
    Column("locked_at", UtcInstant),
    Column("expires_at", UtcInstant),
    Column("exclusive", Boolean(create_constraint=False), nullable=False),
    # What the partition was before it was locked; filled only while it is locked.
    Column("former_state", Text),
    Column("former_changed_at", UtcInstant),
    Column("former_published_at", UtcInstant),
    Column("former_reason", Text),
    Column("released_by", Text),
    CheckConstraint(rules.START_BEFORE_END, name="start_before_end"),
    CheckConstraint(rules.CLASS_OF_LENGTH, name="class_of_length"),
    CheckConstraint(rules.STATE, name="state"),
    CheckConstraint(rules.counted_from(0, "generation"), name="generation"),
    CheckConstraint(rules.WHOLE_LOCK, name="whole_lock"),
    CheckConstraint(rules.WHOLE_FORMER_STATE, name="whole_former_state"),
    CheckConstraint(rules.RELEASED_WITHOUT_LOCK, name="released_without_lock"),
    CheckConstraint(
        rules.instants(
            *("interval_start", "interval_end", "registered_at", "changed_at", "published_at"),
            *("locked_at", "expires_at", "former_changed_at", "former_published_at"),
        ),
        name="instants",
    ),
    UniqueConstraint(
        "source_id", "interval_start", "interval_end", "provider_id", name=f"uq_{PREFIX}partition_interval"
    ),
    Index(f"ix_{PREFIX}partition_overlap", "source_id", "state", "length_class", "interval_start"),
    # For the timeline, which reads one provider after another.
    Index(f"ix_{PREFIX}partition_lane", "source_id", "provider_id", "state", "length_class", "interval_end"),
)

length_class = Table(
    f"{PREFIX}length_class",
    metadata,
    Column("source_id", ForeignKey(source.c.id), primary_key=True),
    Column("length_class", SmallInteger, primary_key=True),
    Column("longest", BigInteger, nullable=False),
    CheckConstraint(rules.LONGEST_OF_CLASS, name="longest_of_class"),
)

ready_interval = Table(
    f"{PREFIX}ready_interval",
    metadata,
    Column("source_id", ForeignKey(source.c.id), primary_key=True),
    Column("interval_start", UtcInstant, primary_key=True),
    Column("interval_end", UtcInstant, nullable=False),
    CheckConstraint(rules.START_BEFORE_END, name="start_before_end"),
    CheckConstraint(rules.instants("interval_start", "interval_end"), name="instants"),
)

event = Table(
    f"{PREFIX}event",
    metadata,
    Column("position", RowId, primary_key=True, autoincrement=False),
    Column("type", Text, nullable=False),
    Column("at", UtcInstant, nullable=False),
    Column("source_id", ForeignKey(source.c.id)),
    Column("provider_id", ForeignKey(provider.c.id)),
    Column("interval_start", UtcInstant),
    Column("interval_end", UtcInstant),
    Column("holder", Text),
    Column("generation", BigInteger),
    Column("details", JSON, nullable=False),
    CheckConstraint(rules.counted_from(1, "position"), name="position"),
    CheckConstraint(rules.TYPE, name="type"),
    CheckConstraint(rules.START_BEFORE_END, name="start_before_end"),
    CheckConstraint(rules.counted_from(1, "generation"), name="generation"),
    CheckConstraint(rules.instants("at", "interval_start", "interval_end"), name="instants"),
    Index(None, "source_id", "position"),
)

event_position = Sequence(f"{PREFIX}event_position", minvalue=0, start=1, metadata=metadata)
"""Where positions come from, on PostgreSQL; see ``changes/history.py``."""

# One row: the last position given out, or NULL if positions come from the sequence.
history = Table(
    f"{PREFIX}history",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("last_position", BigInteger),
    # Where the history was last written to, see ``changes/home.py``; NULL before the first time.
    Column("home", Text),
    # When a service began to prune by itself for the last time.
    Column("pruned_at", UtcInstant),
    CheckConstraint("id = 1", name="one_row"),
    CheckConstraint(rules.counted_from(0, "last_position"), name="last_position"),
    CheckConstraint(rules.instants("pruned_at"), name="instants"),
)

# What was lost each time that a backup was restored: the positions between the two that may have been given out.
restoration = Table(
    f"{PREFIX}restoration",
    metadata,
    Column("first_position", BigInteger, primary_key=True, autoincrement=False),
    Column("last_before", BigInteger, nullable=False),
    Column("noticed_at", UtcInstant, nullable=False),
    CheckConstraint(rules.LOST_POSITIONS, name="lost_positions"),
    CheckConstraint(rules.instants("noticed_at"), name="instants"),
)

# The last heartbeat of each process that lets a standby answer, see ``standby/heartbeat.py``.
heartbeat = Table(
    f"{PREFIX}heartbeat",
    metadata,
    Column("process", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("sent_at", UtcInstant, nullable=False),
    CheckConstraint(rules.counted_from(1, "number"), name="number"),
    CheckConstraint(rules.instants("sent_at"), name="instants"),
)

# What was removed from the past of a source when it was pruned, see ``maintenance/pruning.py``; no row if nothing was.
pruning = Table(
    f"{PREFIX}pruning",
    metadata,
    Column("source_id", ForeignKey(source.c.id), primary_key=True),
    # How many events, and the last position of one; all of them happened before the instant.
    Column("event_count", BigInteger, nullable=False),
    Column("pruned_to", BigInteger, nullable=False, index=True),
    Column("pruned_before", UtcInstant, nullable=False),
    # Of the partitions that were removed with their events: the last position of one, and the greatest generation.
    Column("partitions_pruned_to", BigInteger, nullable=False, server_default="0"),
    Column("greatest_generation", BigInteger, nullable=False, server_default="0"),
    CheckConstraint(rules.PRUNED_EVENTS, name="events"),
    CheckConstraint(rules.PRUNED_PARTITIONS, name="partitions"),
    CheckConstraint(rules.instants("pruned_before"), name="instants"),
)

DERIVED_TABLES = (length_class, ready_interval, history)
"""The tables that can be recomputed from the others."""


def conditions_of(table: Table) -> dict[str, str]:
    """The conditions of a table's CHECK constraints by name, see :func:`check_name`."""
    checks = {str(each.name): each for each in table.constraints if isinstance(each, CheckConstraint)}
    prefix = check_name(table.name, "")
    return {name.removeprefix(prefix): str(checks[name].sqltext) for name in sorted(checks)}


def check_name(table_name: str, name: str) -> str:
    """The name of a CHECK constraint in the database."""
    return f"ck_{table_name}_{name}"


def length_class_of(interval: Interval) -> int:
    """The class of an interval's length: class ``n`` holds those of at most ``8 ** n`` microseconds.

    Powers of eight make at most 20 classes, of which a source has one or two, and a look-up reads at most eight
    partitions more than it needs to.
    """
    microseconds = to_microseconds(interval.end) - to_microseconds(interval.start)
    return -(-microseconds.bit_length() // 3)


def longest_of(class_number: int) -> int:
    """The greatest length in a class (microseconds)."""
    return 1 << 3 * class_number
