"""People get letters about data that does not come, from real instances of both versions."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from airflow_provider_partition_registry.domain.intervals import Interval
from airflow_provider_partition_registry.domain.models import PartitionKey
from airflow_provider_partition_registry.store.contract import RegistryStore
from testbed.airflow import AirflowInstance
from testbed.mail import MailServer, text_of
from testbed.processes import wait_until

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

DAG_ID = "late_data"
LATER = ("task gave up", "run failed")
LETTERS = {2: LATER, 3: ("in the triggerer", "in an executor", "locks", *LATER)}
DAYS = {2: Interval("2026-11-02", "2026-11-03"), 3: Interval("2026-11-03", "2026-11-04")}
TIMEOUT = 300


@pytest.mark.parametrize("version", DAYS)
def test_letters_say_why(
    instances: Mapping[int, AirflowInstance], registry: RegistryStore, mail: MailServer, version: int
) -> None:
    api, interval = instances[version].api, DAYS[version]
    day = f"{interval.start:%Y-%m-%d}"
    registry.lock(PartitionKey("system.late", "slow-loader", interval), register=True, holder="the-night-job")
    api.wait_until_parsed(DAG_ID)
    api.unpause(DAG_ID)
    run_id = api.trigger_run(DAG_ID, {"day": day})

    def letters() -> dict[str, str]:
        return {each["Subject"]: text_of(each) for each in mail.received if each["Subject"].startswith(day)}

    def waits_for(names: tuple[str, ...]) -> None:
        subjects = {f"{day} {name}" for name in names}
        wait_until(
            lambda: subjects <= letters().keys(), what=f"letters: {subjects}", timeout=TIMEOUT, detail=letters
        )

    waits_for(tuple(set(LETTERS[version]) - set(LATER)))
    assert api.wait_for_run(DAG_ID, run_id, TIMEOUT) == "failed"
    waits_for(LATER)
    assert len(letters()) == len(LETTERS[version])
    for text in letters().values():
        assert f"{interval} of provider 'slow-loader' is being written by the-night-job since " in text
