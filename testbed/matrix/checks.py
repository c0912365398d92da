"""What runs in a row's environment: a DAG without our package, the examples, a hand-over by real components."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from testbed.airflow import WARM_UP_DAG, AirflowInstance
from testbed.matrix.environments import PROJECT, installed
from testbed.matrix.rows import Row
from testbed.postgres import PostgresServer
from testbed.processes import TestbedError, new_temporary_folder
from testbed.service_process import ServiceProcess

TURN_TIMEOUT = 600.0  # seconds for anything that is waited for, as the machine may be busy
PATIENT = {
    "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": f"{TURN_TIMEOUT}",
    "AIRFLOW__CORE__DAG_FILE_PROCESSOR_TIMEOUT": f"{TURN_TIMEOUT:.0f}",  # of 2.11
    "AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": f"{TURN_TIMEOUT:.0f}",
    "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",  # of the first task
}
ADMINISTRATOR_TOKEN = "of-the-administrator"
# In earlier versions DAG authors import `DAG` and `task` from Airflow; among these rows that is only Airflow 3.0.
FIRST_WITH_SDK = (1, 8)

# Imports files one after another in one process, as a DAG processor does.
IMPORT_ALL = "import runpy, sys; [runpy.run_path(path) for path in sys.argv[1:]]"


class AirflowItselfFailsError(Exception):
    """A DAG that does not use our package does not run either."""


def check_core(programs: Path) -> None:
    """The everyday tests of what runs without Airflow, and the contract over HTTP."""
    tests = ("tests/unit", "tests/cli", "tests/contract", "--ignore", "tests/cli/job")
    command = [str(programs / "python"), "-m", "pytest", "-q", "-n", "2", "-m", "not postgres", *tests]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise TestbedError(done.stdout + done.stderr)


def check_airflow(row: Row, programs: Path, *, with_components: bool) -> None:
    """Everything that a row with an Airflow has to prove.

    :param with_components: also run scheduler, triggerer and the others, and hand a day over through a web service.
    :raises AirflowItselfFailsError: this Airflow does not work even without our package.
    """
    with ExitStack() as on_exit:
        folder = new_temporary_folder(f"matrix-{row.name}")
        metadata_url = None
        if row.airflow and row.airflow.startswith("2."):
            postgres = on_exit.enter_context(PostgresServer(durable=False))
            metadata_url = postgres.create_database("airflow")
        registry_url = f"sqlite:///{folder}/registry.db"
        _register(programs, registry_url)
        examples = _examples(programs, folder / "examples")

        def instance(registry: dict[str, str]) -> AirflowInstance:
            connection = {"conn_type": "partition_registry", "extra": {"instance": "matrix"}} | registry
            return AirflowInstance(
                programs,
                name=f"matrix-{row.name}",
                home=folder / "airflow",
                metadata_url=metadata_url,
                settings=PATIENT,
                environment={"AIRFLOW_CONN_PARTITION_REGISTRY_DEFAULT": json.dumps(connection)},
            )

        _check_without_components(instance({"host": registry_url}), examples)
        if with_components:
            with _service(registry_url) as service:
                _check_hand_over(instance(service))


def _register(programs: Path, registry_url: str) -> None:
    command = (programs / "partition-registry", "--url", registry_url)

    def call(*arguments: str) -> dict[str, str]:
        done = subprocess.run([*command, *arguments, "--json"], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise TestbedError(done.stdout + done.stderr)
        answer: dict[str, str] = json.loads(done.stdout)
        return answer

    token = call("source", "register", "shop.sales", "--owner", "matrix")["access_token"]
    call("provider", "register", "example_producer", "--access-token", token)


def _examples(programs: Path, folder: Path) -> Path:
    """The example DAGs, as they are copied into this Airflow."""
    folder.mkdir()
    has_no_sdk = _common_compat(programs) < FIRST_WITH_SDK
    for example in sorted((PROJECT / "example_dags").glob("*.py")):
        text = example.read_text()
        if has_no_sdk:
            text = text.replace("from airflow.providers.common.compat.sdk import", "from airflow.sdk import")
        (folder / example.name).write_text(text)
    return folder


def _common_compat(programs: Path) -> tuple[int, ...]:
    version = installed(programs, "apache-airflow-providers-common-compat") or "0"
    return tuple(map(int, version.split(".")))


def _check_without_components(instance: AirflowInstance, examples: Path) -> None:
    """The examples can be imported and stored, and two of them run by ``dag.test()``."""
    instance.add_dags(examples, PROJECT / "testbed" / "dags")
    try:
        instance.run_airflow("db", "migrate", timeout=TURN_TIMEOUT)
        _check_imports(instance, examples)
        instance.run_airflow("dags", "reserialize", timeout=TURN_TIMEOUT)
        _check_dags_test(instance)
    except TestbedError as ours:
        try:
            _dags_test(instance, WARM_UP_DAG)
        except TestbedError as theirs:
            raise AirflowItselfFailsError(str(theirs)) from ours
        raise


def _check_imports(instance: AirflowInstance, examples: Path) -> None:
    """Check that all examples can be imported, without a warning of ours."""
    files = sorted(map(str, examples.glob("*.py")))
    said = instance.run_program("python", "-W", "always", "-c", IMPORT_ALL, *files, timeout=TURN_TIMEOUT)
    ours = re.compile(
        rf"^.*(?:airflow_provider_partition_registry|{re.escape(str(examples))})/.*Warning: .*", re.M
    )
    if found := ours.findall(said):
        raise TestbedError("\n".join(found))


def _check_dags_test(instance: AirflowInstance) -> None:
    """Run producer and consumer in one process each, the consumer by way of its trigger."""
    _dags_test(instance, "example_producer")
    said = _dags_test(instance, "example_consumer")
    if "shop.sales is ready from 2026-11-01T00:00:00Z to " not in said:
        raise TestbedError(f"The consumer did not get its answer:\n{said[-3000:]}")


def _dags_test(instance: AirflowInstance, dag_id: str) -> str:
    return instance.run_program("airflow", "dags", "test", dag_id, timeout=TURN_TIMEOUT)


@contextmanager
def _service(registry_url: str) -> Iterator[dict[str, str]]:
    """A web service in front of the registry, as the fields of a connection."""
    python = PROJECT / ".venvs" / "core" / "bin" / "python"
    variables = {"PARTITION_REGISTRY_ADMINISTRATOR_TOKEN": ADMINISTRATOR_TOKEN}
    with ServiceProcess(registry_url, python=python, variables=variables) as service:
        yield {"host": service.url, "password": ADMINISTRATOR_TOKEN}


def _check_hand_over(instance: AirflowInstance) -> None:
    """Check that a consumer defers, a producer publishes, and the triggerer lets the consumer go on."""
    try:
        instance.start(TURN_TIMEOUT)
        _warm_up(instance)
    except TestbedError as error:
        instance.stop()
        raise AirflowItselfFailsError(str(error)) from error
    try:
        _hand_over(instance)
    finally:
        instance.stop()


def _warm_up(instance: AirflowInstance) -> None:
    """Warm up, twice if needed: on a busy machine the very first task may take longer than Airflow 3.0 waits."""
    try:
        instance.warm_up(TURN_TIMEOUT)
    except TestbedError:
        instance.warm_up(TURN_TIMEOUT)


def _hand_over(instance: AirflowInstance) -> None:
    api, conf = instance.api, {"day": "2026-11-02"}
    for dag_id in ("example_consumer", "example_producer"):
        api.wait_until_parsed(dag_id, TURN_TIMEOUT)
        api.unpause(dag_id)
    consumer = api.trigger_run("example_consumer", conf)
    api.wait_for_task_state("example_consumer", consumer, "wait_for_sales", "deferred", TURN_TIMEOUT)
    producer = api.trigger_run("example_producer", conf)
    states = [
        api.wait_for_run("example_producer", producer, TURN_TIMEOUT),
        api.wait_for_run("example_consumer", consumer, TURN_TIMEOUT),
    ]
    if states != ["success", "success"]:
        raise TestbedError(f"producer and consumer ended as {states}\n{instance.log_tails()}")
