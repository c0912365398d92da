"""The registry's first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
PREFIX = "partition_registry_"


def upgrade() -> None:
    """Create all tables, and the one row that holds the history's counter."""
    _create_registrations()
    _create_partitions()
    _create_history()


def _create_registrations() -> None:
    op.create_table(
        f"{PREFIX}source",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("registered_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name=f"pk_{PREFIX}source"),
        sa.UniqueConstraint("name", name=f"uq_{PREFIX}source_name"),
    )
    op.create_table(
        f"{PREFIX}provider",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("registered_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name=f"pk_{PREFIX}provider"),
        sa.UniqueConstraint("name", name=f"uq_{PREFIX}provider_name"),
    )
    op.create_table(
        f"{PREFIX}grant",
        sa.Column("source_id", ROW_ID, nullable=False),
        sa.Column("provider_id", ROW_ID, nullable=False),
        sa.Column("granted_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("source_id", "provider_id", name=f"pk_{PREFIX}grant"),
        _foreign_key("grant", "source"),
        _foreign_key("grant", "provider"),
    )
    op.create_index(f"ix_{PREFIX}grant_provider_id", f"{PREFIX}grant", ["provider_id"])
    op.create_table(
        f"{PREFIX}access_token",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("source_id", ROW_ID, nullable=False),
        sa.Column("secret_hash", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name=f"pk_{PREFIX}access_token"),
        _foreign_key("access_token", "source"),
    )
    op.create_index(f"ix_{PREFIX}access_token_source_id", f"{PREFIX}access_token", ["source_id"])


def _create_partitions() -> None:
    op.create_table(
        f"{PREFIX}partition",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("source_id", ROW_ID, nullable=False),
        sa.Column("provider_id", ROW_ID, nullable=False),
        sa.Column("interval_start", sa.BigInteger, nullable=False),
        sa.Column("interval_end", sa.BigInteger, nullable=False),
        sa.Column("length_class", sa.SmallInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("registered_at", sa.BigInteger, nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.Column("published_at", sa.BigInteger),
        sa.Column("reason", sa.Text),
        sa.Column("holder", sa.Text),
        sa.Column("holder_details", sa.JSON),
        sa.Column("locked_at", sa.BigInteger),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("exclusive", sa.Boolean(create_constraint=False), nullable=False),
        sa.PrimaryKeyConstraint("id", name=f"pk_{PREFIX}partition"),
        sa.UniqueConstraint(
            "source_id",
            "interval_start",
            "interval_end",
            "provider_id",
            name=f"uq_{PREFIX}partition_interval",
        ),
        _foreign_key("partition", "source"),
        _foreign_key("partition", "provider"),
    )
    op.create_index(
        f"ix_{PREFIX}partition_overlap",
        f"{PREFIX}partition",
        ["source_id", "state", "length_class", "interval_start"],
    )
    op.create_table(
        f"{PREFIX}length_class",
        sa.Column("source_id", ROW_ID, nullable=False),
        sa.Column("length_class", sa.SmallInteger, nullable=False),
        sa.Column("longest", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("source_id", "length_class", name=f"pk_{PREFIX}length_class"),
        _foreign_key("length_class", "source"),
    )
    op.create_table(
        f"{PREFIX}ready_interval",
        sa.Column("source_id", ROW_ID, nullable=False),
        sa.Column("interval_start", sa.BigInteger, nullable=False),
        sa.Column("interval_end", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("source_id", "interval_start", name=f"pk_{PREFIX}ready_interval"),
        _foreign_key("ready_interval", "source"),
    )


def _create_history() -> None:
    op.create_table(
        f"{PREFIX}event",
        sa.Column("position", ROW_ID, nullable=False, autoincrement=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("source_id", ROW_ID, nullable=False),
        sa.Column("provider_id", ROW_ID),
        sa.Column("interval_start", sa.BigInteger),
        sa.Column("interval_end", sa.BigInteger),
        sa.Column("holder", sa.Text),
        sa.Column("generation", sa.BigInteger),
        sa.Column("details", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("position", name=f"pk_{PREFIX}event"),
        _foreign_key("event", "source"),
        _foreign_key("event", "provider"),
    )
    op.create_index(
        f"ix_{PREFIX}event_source_id_position", f"{PREFIX}event", ["source_id", "position"], unique=False
    )
    history = op.create_table(
        f"{PREFIX}history",
        sa.Column("id", sa.SmallInteger, nullable=False, autoincrement=False),
        sa.Column("last_position", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name=f"pk_{PREFIX}history"),
    )
    op.bulk_insert(history, [{"id": 1, "last_position": 0}])


def _foreign_key(table: str, to: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([f"{to}_id"], [f"{PREFIX}{to}.id"], name=f"fk_{PREFIX}{table}_{to}_id")
