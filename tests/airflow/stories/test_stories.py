"""Whole runs of random DAGs with random accidents, on a real Airflow database and a real registry."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, event, example, given, note, settings

from airflow_provider_partition_registry.plugins import ended_runs, running_runs
from airflow_provider_partition_registry.store.contract import RegistryStore
from tests.airflow.stories.background import Background
from tests.airflow.stories.plans import Hand, Plan, Step, Story, Turn, stories
from tests.airflow.stories.stage import Stage

MOST_TURNS = 80

TWO = (Step(), Step(after=frozenset({0})))
# One story of each important kind, however few random ones there is time for.
NO_ACCIDENT = Story(Plan("group", (Step(), Step("mapped", frozenset({0})), Step("mapped group"))), ())
RELEASED_BETWEEN_TWO_TASKS = Story(Plan("group", TWO), (Turn(), Turn(), Hand("release by force")))
# Found by this test: Airflow 2 marks tasks that have not begun as successful.
MARKED_BETWEEN_TWO_TASKS = Story(Plan("teardown", TWO), (Turn(), Turn(), Hand("mark run success")))
CLEARED_WHEN_PUBLISHED = Story(
    Plan("plain", TWO), (Turn(), Turn(), Turn(), Turn(), Turn(), Hand("clear task", 1), Turn("fail"))
)


@pytest.fixture(autouse=True)
def no_locks_end_by_themselves() -> None:
    """Overrides the fixture of this name, since these tests need the background work."""


@pytest.fixture
def background(monkeypatch: pytest.MonkeyPatch) -> Background:
    made = Background()
    monkeypatch.setattr(running_runs, "ended_runs", made.ended_runs)
    monkeypatch.setattr(running_runs, "running_runs", made.running_runs)
    monkeypatch.setattr(ended_runs, "ended_runs", made.ended_runs)
    return made


# Importing parts of Airflow 2 for the first time raises the recursion limit.
@pytest.mark.filterwarnings("ignore:The recursion limit will not be reset")
@settings(
    max_examples=settings.default.max_examples // 5,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(story=stories)
@example(story=CLEARED_WHEN_PUBLISHED)
@example(story=MARKED_BETWEEN_TWO_TASKS)
@example(story=RELEASED_BETWEEN_TWO_TASKS)
@example(story=NO_ACCIDENT)
def test_only_proof_publishes_and_no_lock_outlives_its_run(
    story: Story, airflow_home: object, registry: RegistryStore, background: Background
) -> None:
    stage = Stage(story.plan, registry, background)
    try:
        for each in story.events:
            if isinstance(each, Hand):
                stage.lay(each)
            else:
                stage.play(each)
        for _ in range(MOST_TURNS):
            if not stage.play(Turn()):
                break
        else:
            raise AssertionError("the run never ends")
        if not story.has_accidents:
            stage.check_liveness()
        event(f"the partition is {stage.ending}")
    finally:
        note("\n".join(stage.told))
