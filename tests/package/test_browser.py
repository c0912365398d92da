"""Installing the browser on a machine where another package manager is at work."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from testbed.debian import apt_get
from testbed.processes import wait_until

pytestmark = pytest.mark.skipif(shutil.which("apt-get") is None, reason="this system has no apt")

HOLD = """\
import fcntl, sys
with open(sys.argv[1], "w") as file:
    fcntl.lockf(file, fcntl.LOCK_EX)
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A system of the test's own for apt-get: without packages, and without sources of packages."""
    for folder in ("state/lists/partial", "cache/archives/partial", "etc", "dpkg"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "dpkg/status").touch()
    (tmp_path / "apt.conf").write_text(
        f'Dir::State "{tmp_path}/state"; Dir::Cache "{tmp_path}/cache"; Dir::Etc "{tmp_path}/etc";\n'
        f'Dir::State::status "{tmp_path}/dpkg/status"; APT::Sandbox::User "";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    return tmp_path


@contextmanager
def held(lock: Path) -> Iterator[subprocess.Popen[str]]:
    """Let another process hold the lock, as package managers do."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        try:
            yield holder
        finally:
            holder.communicate("")


LOCKS = [
    pytest.param(["update"], "state/lists/lock", id="lists"),
    pytest.param(["install", "--yes"], "dpkg/lock-frontend", id="dpkg"),
]


@pytest.mark.parametrize(("arguments", "lock"), LOCKS)
def test_it_waits_until_somebody_else_has_finished(
    system: Path, arguments: list[str], lock: str, capfd: pytest.CaptureFixture[str]
) -> None:
    told: list[str] = []

    def is_told() -> bool:
        told.append(capfd.readouterr().err)
        return "Waiting for it." in "".join(told)

    with held(system / lock) as holder:
        code = f"from testbed.debian import apt_get\napt_get(*{arguments!r})"
        with subprocess.Popen([sys.executable, "-c", code]) as installing:
            wait_until(is_told, what="apt-get to be locked out", timeout=60)
            assert installing.poll() is None
            holder.communicate("")
            assert installing.wait(60) == 0


@pytest.mark.parametrize(("arguments", "lock"), LOCKS)
def test_it_does_not_wait_for_ever(system: Path, arguments: list[str], lock: str) -> None:
    with held(system / lock), pytest.raises(subprocess.CalledProcessError) as failed:
        apt_get(*arguments, timeout=0)
    assert "lock" in failed.value.stderr


def test_it_does_not_try_again_what_fails_otherwise(system: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError, match="returned non-zero exit status 100"):
        apt_get("install", "--yes", "no-such-package")
