"""``run`` under difficult callers: ignored signals, closed descriptors, full disks, names in any bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_partition_registry.cli.options import URL_VARIABLE
from tests.cli.job.conftest import OPTIONS, SCRIPT, Registry, until

BLOCKING = (
    "import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD}); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)
CLOSED = ("2>&-", "<&-", ">&-", "<&- >&- 2>&-")


def shell(redirection: str) -> tuple[str, ...]:
    """A wrapper that starts a run with some of its descriptors redirected."""
    return ("sh", "-c", f'exec "$@" {redirection}', "sh")


def test_a_caller_that_ignores_the_end_of_its_children_hides_no_failure(registry: Registry):
    ignoring = ("sh", "-c", 'trap "" CHLD; exec "$@"', "sh")
    assert registry.run("--", "sh", "-c", "exit 3", wrapper=ignoring)[0] == 3
    assert registry.partition.state.value == "failed"
    assert registry.run("--", "sh", "-c", "kill -9 $$", wrapper=ignoring)[0] == 137
    assert registry.run("--", "true", wrapper=ignoring) == (0, "")


def test_signals_that_the_caller_blocks_still_arrive(registry: Registry):
    running = registry.start(
        "--", "sh", "-c", "echo up; exec sleep 60", wrapper=(sys.executable, "-c", BLOCKING)
    )
    assert running.line() == "up"
    running.send(signal.SIGTERM)
    assert running.end()[0] == 143


@pytest.mark.parametrize("closed", CLOSED)
def test_a_closed_descriptor_never_becomes_the_registrys(each_registry: Registry, closed: str):
    script = "echo out; echo err >&2; read word; exit 0"
    assert each_registry.run("--verbose", "--", "sh", "-c", script, wrapper=shell(closed))[0] == 0
    assert each_registry.partition.state.value == "ready"


def test_a_failure_is_recorded_although_standard_error_is_closed(registry: Registry):
    assert registry.run("--", "sh", "-c", "echo why >&2; exit 3", wrapper=shell("2>&-"))[0] == 3
    assert (registry.partition.reason or "").endswith("why")


def _closed_pipe() -> int:
    read, write = os.pipe()
    os.close(read)
    return write


def _full_disk() -> int:
    return os.open("/dev/full", os.O_WRONLY)


def _hung_up_terminal() -> int:
    controller, terminal = os.openpty()
    os.close(controller)
    return terminal


@pytest.mark.parametrize("opened", [_closed_pipe, _full_disk, _hung_up_terminal])
@pytest.mark.parametrize("options", [("--verbose",), ("--json",)])
def test_a_message_that_cannot_be_written_changes_nothing(
    registry: Registry, opened: Callable[[], int], options: tuple[str, ...]
):
    stderr = opened()
    assert registry.run(*options, "--", "true", stderr=stderr)[0] == 0
    assert registry.partition.state.value == "ready"
    failing = registry.run(*options, "--", "sh", "-c", "trap '' PIPE; echo why >&2; exit 3", stderr=stderr)
    assert failing[0] == 3
    assert registry.partition.state.value == "failed"
    assert registry.run("--start", "soon", "--", "true", stderr=stderr)[0] == 2
    os.close(stderr)


def test_a_reader_that_does_not_read_messages_holds_nothing_up(registry: Registry):
    read, write = os.pipe()
    os.set_blocking(write, False)
    try:
        while os.write(write, b"x" * 4096):
            pass
    except BlockingIOError:
        os.set_blocking(write, True)
    assert registry.run("--verbose", "--", "true", stderr=write)[0] == 0
    assert registry.partition.state.value == "ready"
    os.close(read)
    os.close(write)


@pytest.mark.parametrize("environment", [{"LC_ALL": "C"}, {"LC_ALL": "C.UTF-8"}, {"LC_ALL": "POSIX"}])
def test_names_and_output_in_any_bytes(registry: Registry, tmp_path: Path, environment: dict[str, str]):
    script = bytes(tmp_path) + b"/gr\xfcn.sh"
    Path(os.fsdecode(script)).write_text(
        '#!/bin/sh\nprintf "%s|%s" "$1" "$WORD"; printf "%s" "$1" >&2; exit 3\n'
    )
    os.chmod(script, 0o755)
    done = subprocess.run(
        [bytes(SCRIPT), b"run", *map(os.fsencode, OPTIONS), b"--", script, b"\xff\xfe"],
        env={b"PATH": os.environb[b"PATH"], b"WORD": b"\xfcber", URL_VARIABLE.encode(): registry.url.encode()}
        | {os.fsencode(name): os.fsencode(value) for name, value in environment.items()},
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, b"\xff\xfe|\xfcber")
    assert done.stderr.startswith(b"\xff\xfe")
    reason = registry.partition.reason or ""
    assert reason.startswith("'gr\\udcfcn.sh' ended with exit code 3.")
    assert reason.endswith("\ufffd\ufffd")
    lock = registry.partition.lock
    assert lock is not None
    assert lock.holder.details["command"] == "gr\ufffdn.sh"


def test_a_source_in_other_bytes_is_refused(registry: Registry):
    done = registry.run("--", "true", of=("gr\udcfcn", *OPTIONS[1:]))
    assert done[0] == 2
    assert "text in UTF-8" in done[1]


def test_the_command_gets_the_environment_that_the_caller_gave(registry: Registry):
    given = {"PATH": os.environ["PATH"], URL_VARIABLE: registry.url}
    done = registry.start("--", "env", env=given)
    said, _ = done.process.communicate(timeout=30)
    names = {line.partition("=")[0] for line in said.splitlines()}
    assert names - given.keys() == {
        f"PARTITION_REGISTRY_{each}"
        for each in ("SOURCE", "PROVIDER", "START", "END", "GENERATION", "HOLDER")
    }


def test_the_command_gets_the_descriptors_that_the_caller_gave(registry: Registry):
    read, write = os.pipe()
    os.write(write, b"hello")
    os.close(write)
    script = f'test "$(cat /dev/fd/{read})" = hello'
    assert registry.run("--", "sh", "-c", script, pass_fds=(read,)) == (0, "")
    os.close(read)


def test_the_command_gets_no_descriptor_of_ours(registry: Registry):
    running = registry.start("--", "sh", "-c", "ls /proc/self/fd | wc -l")
    assert running.line() == "4"  # 0 to 2, and the folder that ls itself reads
    assert running.end() == (0, "")


def test_a_script_without_an_interpreter_is_run_by_the_shell(registry: Registry, tmp_path: Path):
    script = tmp_path / "plain"
    script.write_text('echo "$0 $1"; exit 4\n')
    script.chmod(0o755)
    running = registry.start("--", str(script), "word")
    assert running.line() == f"{script} word"
    assert running.end()[0] == 4
    running = registry.start(
        "--", "plain", "word", env={**os.environ, "PATH": f"{tmp_path}:/bin", URL_VARIABLE: registry.url}
    )
    assert running.line() == f"{script} word"
    assert running.end()[0] == 4


def test_a_program_for_another_machine_has_not_run(registry: Registry, tmp_path: Path):
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF\0exit 0\n")
    program.chmod(0o755)
    assert registry.run("--", str(program))[0] == 126
    assert registry.partition.reason == "'program' cannot be started: Exec format error."


def test_what_is_found_but_may_not_be_executed_locks_nothing(registry: Registry, tmp_path: Path):
    (tmp_path / "plain").write_text("exit 0\n")
    environment = {**os.environ, "PATH": f"{tmp_path}:/bin", URL_VARIABLE: registry.url}
    code, errors = registry.run("--", "plain", env=environment)
    assert (code, "cannot be executed" in errors) == (126, True)
    assert registry.run("--", "", env=environment)[0] == 127
    assert registry.history() == []


def test_orphans_inherited_from_the_caller_are_reaped(registry: Registry):
    """The first process of a container inherits orphans."""
    leaving = ("sh", "-c", 'sh -c "sleep 0.2 & sleep 0.1 &" & exec "$@"', "sh")
    running = registry.start("--", "sh", "-c", "echo up; read word; exit 0", wrapper=leaving, stdin=-1)
    assert running.line() == "up"
    until(lambda: not _zombies_of(running.pid), "what has ended to be reaped")
    running.process.communicate("\n", timeout=30)
    assert running.process.returncode == 0


def _zombies_of(parent: int) -> list[str]:
    listed = subprocess.run(
        ["ps", "-o", "pid=,stat=", "--ppid", str(parent)], capture_output=True, text=True, check=False
    )
    return [line for line in listed.stdout.splitlines() if line.split()[1].startswith("Z")]
