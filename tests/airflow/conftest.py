"""Airflow for the tests of the Airflow layer: one migrated Airflow home per session, and the modules' shared fixtures.

Nothing here starts a scheduler, a triggerer or a server; DAGs run by ``dag.test()``.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

HOME = Path(tempfile.mkdtemp(prefix="airflow-home-"))
# Set before Airflow is imported for the first time, which is when it reads these.
for _name in [name for name in os.environ if name.startswith("AIRFLOW")]:
    del os.environ[_name]
os.environ |= {
    "AIRFLOW_HOME": str(HOME),
    "AIRFLOW__CORE__DAGS_FOLDER": str(HOME / "dags"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{HOME}/airflow.db",
    "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
}

with warnings.catch_warnings():
    # Warnings of Airflow's own imports; nothing of ours is imported here.
    warnings.simplefilter("ignore")
    import airflow.models.dagrun
    import airflow.models.xcom
    import airflow.providers.common.compat.sdk
    import airflow.providers_manager
    import airflow.serialization.serialized_objects
    import airflow.utils.db

from tests.airflow.hearing import mail, nothing_heard_yet  # noqa: E402, F401 - fixtures
from tests.airflow.held import warned  # noqa: E402, F401 - fixtures
from tests.airflow.leaving_locks import cut, in_a_hurry, left  # noqa: E402, F401 - fixtures
from tests.airflow.processes import (  # noqa: E402, F401 - fixtures
    load_dags,
    miss_deadline,
    start_in_triggerer,
    starts_from_trigger,
    through_the_database,
    trigger_from_row,
)
from tests.airflow.registries import (  # noqa: E402, F401 - fixtures
    connect,
    later,
    postgres_registry,
    registry,
    registry_template,
    registry_url,
)
from tests.airflow.running import (  # noqa: E402, F401 - fixtures
    daily_timetable,
    new_dag,
    no_logical_date,
    pulled,
    rerun,
    rerun_alone,
    run_dag,
)
from tests.airflow.services import new_place, place, service  # noqa: E402, F401 - fixtures
from tests.airflow.tasks import lock_write_unlock, run_lock  # noqa: E402, F401 - fixtures
from tests.airflow.views import (  # noqa: E402, F401 - fixtures
    connection_form,
    hook_info,
    redact,
    shown_by_rest_api,
    uri_resources,
)
from tests.airflow.writers import as_task, call_task  # noqa: E402, F401 - fixtures

# Files whose warnings are not ours: Airflow's, and those of the libraries that it calls.
NOT_OURS = (
    r"airflow\.",
    "connexion",
    "fastapi",
    "flask",
    "jsonschema",
    "marshmallow",
    "sqlalchemy",
    "starlette",
)


def pytest_itemcollected(item: pytest.Item) -> None:
    if Path(__file__).parent in item.path.parents:
        for module in NOT_OURS:
            item.add_marker(pytest.mark.filterwarnings(f"ignore:::{module}"))


@pytest.fixture(scope="session")
def airflow_home() -> Iterator[Path]:
    """An Airflow home with a migrated metadata database."""
    (HOME / "dags").mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        airflow.utils.db.initdb()
    yield HOME
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(autouse=True)
def no_locks_end_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stops the background work on ended runs, which would end locks before tests have looked at them."""
    monkeypatch.setattr(
        "airflow_provider_partition_registry.plugins.ended_runs.ended_runs.add", lambda *_: None
    )


@pytest.fixture(autouse=True)
def workers_rest_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Triggers run inline here, so no worker has to finish a deferral first."""
    monkeypatch.setattr(
        "airflow_provider_partition_registry.triggers.partition_registry.RESUME_NOT_BEFORE", 0.0
    )
