"""An index by provider, so that a timeline finds each provider's partitions without reading those of others."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"

PREFIX = "partition_registry_"


def upgrade() -> None:
    """Add the index; on a million partitions that takes seconds, during which writers wait."""
    op.create_index(
        f"ix_{PREFIX}partition_lane",
        f"{PREFIX}partition",
        ["source_id", "provider_id", "state", "length_class", "interval_end"],
    )
