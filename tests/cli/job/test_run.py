"""``run`` with a healthy registry: what becomes of the partition, of signals, and of the command's output."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.cli.job.conftest import OPTIONS, Registry, is_alive, kill, until

SLEEP = ("sh", "-c", "echo $$; exec sleep 60")


def test_a_command_that_succeeds_is_published(each_registry: Registry):
    running = each_registry.start("--", "sh", "-c", "env; read never; echo done")
    said, errors = running.process.communicate(timeout=30)
    told = dict(line.split("=", 1) for line in said.splitlines() if line.startswith("PARTITION_REGISTRY_"))
    assert (running.process.returncode, errors) == (0, "")
    partition = each_registry.partition
    assert partition.state.value == "ready"
    assert partition.lock is not None
    del told["PARTITION_REGISTRY_URL"]
    assert told == {
        "PARTITION_REGISTRY_SOURCE": "sales",
        "PARTITION_REGISTRY_PROVIDER": "nightly",
        "PARTITION_REGISTRY_START": "2026-11-01T00:00:00Z",
        "PARTITION_REGISTRY_END": "2026-11-02T00:00:00Z",
        "PARTITION_REGISTRY_GENERATION": "1",
        "PARTITION_REGISTRY_HOLDER": partition.lock.holder.identity,
    }
    assert partition.lock.holder.details.keys() == {"host", "user", "pid", "command"}
    assert partition.lock.expires_at is not None


def test_a_command_that_fails_leaves_a_failed_partition(each_registry: Registry):
    code, errors = each_registry.run(
        "--stderr-lines", "2", "--", "sh", "-c", "printf 'one\\ntwo\\n\\nthree' >&2; exit 3"
    )
    assert code == 3
    assert errors.startswith("one\ntwo\n\nthree")
    assert "'sh' ended with exit code 3. Marked as failed: partition [2026-11-01" in errors
    partition = each_registry.partition
    assert partition.state.value == "failed"
    assert partition.reason == "'sh' ended with exit code 3. Last lines of its standard error:\ntwo\nthree"


def test_the_reason_keeps_the_end_of_what_was_said_and_never_the_arguments(registry: Registry):
    noise = "import sys; sys.stderr.buffer.write(b'x' * 100_000 + b'\\xff\\x00 the end'); sys.exit(1)"
    assert registry.run("--", "python3", "-c", noise)[0] == 1
    reason = registry.partition.reason or ""
    assert reason.endswith(" the end")
    assert len(reason) == 4000
    registry.run("--stderr-lines", "0", "--", "sh", "-c", "echo secret >&2; exit 1")
    assert registry.partition.reason == "'sh' ended with exit code 1."
    assert "secret" not in str(registry.history())


def test_standard_error_streams_through_while_the_command_runs(registry: Registry):
    running = registry.start("--", "sh", "-c", "echo early >&2; echo out; exec sleep 60")
    assert (running.error_line(), running.line()) == ("early", "out")
    running.send(signal.SIGTERM)
    assert running.end()[0] == 143


def test_standard_input_is_the_commands(registry: Registry):
    running = registry.start("--", "sh", "-c", 'read word; test "$word" = hello', stdin=subprocess.PIPE)
    _, errors = running.process.communicate("hello\n", timeout=30)
    assert (running.process.returncode, errors) == (0, "")


@pytest.mark.parametrize(("name", "code"), [("TERM", 143), ("INT", 130), ("HUP", 129), ("QUIT", 131)])
def test_signals_are_passed_on(registry: Registry, name: str, code: int):
    running = registry.start("--", *SLEEP)
    child = int(running.line())
    running.send(signal.Signals[f"SIG{name}"])
    assert running.end()[0] == code
    assert not is_alive(child)
    partition = registry.partition
    assert partition.state.value == "failed"
    assert partition.reason == f"'sh' ended with signal SIG{name} after the run got SIG{name}."


def test_a_command_may_answer_a_signal_in_its_own_way(registry: Registry):
    trap = "trap 'echo bye; exit 7' TERM; trap 'echo usr' USR1; echo up; while :; do sleep 0.05; done"
    running = registry.start("--", "sh", "-c", trap)
    assert running.line() == "up"
    running.send(signal.SIGUSR1)
    assert running.line() == "usr"
    running.send(signal.SIGTERM)
    assert running.line() == "bye"
    assert running.end()[0] == 7


def test_a_command_that_is_told_to_end_and_exits_with_0_has_failed(registry: Registry):
    running = registry.start("--", "sh", "-c", "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done")
    assert running.line() == "up"
    running.send(signal.SIGTERM)
    assert running.end()[0] == 143
    reason = registry.partition.reason or ""
    assert reason.startswith("'sh' ended with exit code 0 after the run got SIGTERM.")


def test_a_command_that_ignores_signals_is_killed_with_all_it_started(registry: Registry):
    stubborn = "trap '' TERM; sleep 60 & echo $!; while :; do sleep 0.05; done"
    running = registry.start("--grace", "1s", "--", "sh", "-c", stubborn)
    grandchild = int(running.line())
    running.send(signal.SIGTERM)
    assert running.end()[0] == 137
    until(lambda: not is_alive(grandchild), "what the command started to end")
    assert "SIGKILL after the run got SIGTERM" in (registry.partition.reason or "")


def test_signals_reach_what_the_command_started(registry: Registry):
    running = registry.start("--", "sh", "-c", "sleep 60 & echo $!; wait")
    grandchild = int(running.line())
    running.send(signal.SIGTERM)
    assert running.end()[0] == 143
    until(lambda: not is_alive(grandchild), "what the command started to end")


def test_signals_that_the_caller_ignores_stay_ignored(registry: Registry):
    running = registry.start("--", *SLEEP, wrapper=("sh", "-c", 'trap "" HUP; exec "$@"', "sh"))
    child = int(running.line())
    running.send(signal.SIGHUP)
    os.kill(child, signal.SIGHUP)
    running.send(signal.SIGTERM)
    assert running.end()[0] == 143


def test_a_command_that_is_killed_has_failed(registry: Registry):
    running = registry.start("--", *SLEEP)
    kill(int(running.line()))
    assert running.end()[0] == 137
    assert registry.partition.reason == "'sh' ended with signal SIGKILL."


def test_a_closed_standard_error_does_not_hold_the_command_up(registry: Registry):
    read, write = os.pipe()
    os.close(read)
    running = registry.start("--", "sh", "-c", "trap '' PIPE; seq 100000 >&2; echo done", stderr=write)
    os.close(write)
    assert running.line() == "done"
    assert running.process.wait(20) == 0


@pytest.mark.parametrize(("command", "code"), [("no-such-command", 127), ("/etc/passwd", 126), ("/", 126)])
def test_a_command_that_cannot_be_run_locks_nothing(registry: Registry, command: str, code: int):
    assert registry.run("--", "true")[0] == 0
    refused, errors = registry.run("--", command)
    assert refused == code
    assert command in errors
    assert registry.partition.state.value == "ready"
    assert registry.partition.generation == 1


def test_a_command_that_fails_to_start_leaves_a_failed_partition(registry: Registry, tmp_path: Path):
    broken = tmp_path / "broken"
    broken.write_text("#!/no/such/interpreter\n")
    broken.chmod(0o755)
    assert registry.run("--", str(broken))[0] == 127
    assert registry.partition.reason == "'broken' cannot be started: No such file or directory."


def test_its_messages_as_json(registry: Registry):
    code, errors = registry.run("--json", "--", "sh", "-c", "exit 1")
    told = [json.loads(line) for line in errors.splitlines()]
    assert (code, [each["code"] for each in told]) == (1, ["locked", "failed"])
    assert told[1]["partition"]["state"] == "failed"
    code, errors = registry.run("--verbose", "--", "true")
    assert (code, errors.count("partition-registry: "), "Published" in errors) == (0, 2, True)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ((*OPTIONS, "--lease", "soon", "--", "true"), 2),
        (OPTIONS, 2),
        ((*OPTIONS, "--holder", "two words", "--", "true"), 2),
        (("nope", *OPTIONS[1:], "--", "true"), 4),
        (("sales", "nope", *OPTIONS[2:], "--", "true"), 4),
        ((*OPTIONS, "--url", "postgresql://127.0.0.1:1/none", "--", "true"), 7),
    ],
)
def test_calls_that_run_nothing(nightly: Command, options: tuple[str, ...], code: int):
    refused = nightly("run", *options)
    assert (refused.code, refused.stdout) == (code, "")
    assert refused.stderr.startswith("Error: ")


def test_options_behind_the_command_are_the_commands(registry: Registry):
    assert registry.run("--", "sh", "-c", "exit 4", "--lease")[0] == 4
