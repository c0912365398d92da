"""What standbys are asked for: the last heartbeat of each process that lets one answer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

PREFIX = "partition_registry_"
LARGEST_NUMBER = 2**63 - 1
EARLIEST, LATEST = -62_135_596_800_000_000, 253_402_300_799_999_999


def upgrade() -> None:
    """The table is empty until a registry is opened with a standby."""
    op.create_table(
        f"{PREFIX}heartbeat",
        sa.Column("process", sa.Text, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("sent_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("process", name=op.f(f"pk_{PREFIX}heartbeat")),
        sa.CheckConstraint(
            f"number BETWEEN 1 AND {LARGEST_NUMBER}", name=op.f(f"ck_{PREFIX}heartbeat_number")
        ),
        sa.CheckConstraint(
            f"sent_at BETWEEN {EARLIEST} AND {LATEST}", name=op.f(f"ck_{PREFIX}heartbeat_instants")
        ),
    )
