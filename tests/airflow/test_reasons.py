"""The reason that readers see when code that writes a partition raises: any text, but no secrets."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager

import pytest
from airflow.providers.common.compat.sdk import mask_secret

from airflow_provider_partition_registry.decorators.partition_registry import write_partition
from airflow_provider_partition_registry.domain.models import PartitionState
from airflow_provider_partition_registry.store.contract import RegistryStore
from tests.airflow.registries import DAY, the_partition
from tests.airflow.versions import IS_AIRFLOW_3

pytestmark = pytest.mark.usefixtures("as_task", "hidden")

SECRET = "hush-hush-secret"


@pytest.fixture(scope="module")
def hidden() -> None:
    """Airflow has a secret to mask, as in every installation whose connections have passwords."""
    mask_secret(SECRET)


def output_of_task() -> AbstractContextManager[object]:
    """Standard output as a task has it; Airflow 2's masks secrets in whatever is printed."""
    if IS_AIRFLOW_3:
        return contextlib.nullcontext()
    from airflow.utils.log.secrets_masker import RedactedIO

    return contextlib.redirect_stdout(RedactedIO())


def reason_of(error: BaseException, registry: RegistryStore) -> str:
    """The reason of the partition's failure when its code raised this error."""
    with output_of_task(), contextlib.suppress(type(error)), write_partition(**DAY):
        raise error
    partition = the_partition(registry)
    assert partition.state is PartitionState.FAILED
    assert partition.reason is not None
    return partition.reason


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "ValueError"),
        ("über", "ValueError: über"),
        ("x" * 100_000, "ValueError: " + "x" * (4_000 - len("ValueError: "))),
        ("a \x00", "ValueError: a \\x00"),
        ("bad \udcff name", "ValueError: bad \\udcff name"),  # as os.fsdecode makes them
    ],
    ids=["nothing", "letters", "much", "NUL", "half a pair"],
)
def test_any_text(text: str, told: str, registry: RegistryStore) -> None:
    assert reason_of(ValueError(text), registry) == told


@pytest.mark.parametrize("name", ["db", "d\udcff"], ids=["in text", "beside half a pair"])
def test_no_secret(name: str, registry: RegistryStore) -> None:
    reason = reason_of(ValueError(f"cannot connect to postgresql://me:{SECRET}@{name}"), registry)

    assert "postgresql://me:***@d" in reason


def test_a_text_that_python_cannot_make(registry: RegistryStore) -> None:
    error = SyntaxError("not even wrong")
    error.lineno, error.offset, error.text = 1, "no number", "code"

    assert reason_of(error, registry) == "SyntaxError, whose message cannot be read."
