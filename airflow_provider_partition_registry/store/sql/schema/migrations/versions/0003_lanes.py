"""An index by provider, so that a timeline finds each provider's partitions without reading those of others."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

PREFIX = "partition_registry_"
PARTITION = f"{PREFIX}partition"


def upgrade() -> None:
    """Add the index.

    On PostgreSQL, where writers would wait for it, that of a registry which holds partitions is left to
    ``afterwards.build_indexes``.
    """
    has_partitions = sa.select(sa.exists(sa.select(sa.column("id")).select_from(sa.table(PARTITION))))
    if op.get_bind().dialect.name == "sqlite" or not op.get_bind().execute(has_partitions).scalar():
        columns = ["source_id", "provider_id", "state", "length_class", "interval_end"]
        op.create_index(f"ix_{PARTITION}_lane", PARTITION, columns)
