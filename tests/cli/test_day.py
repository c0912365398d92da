"""The life of one partition, by the command line alone, in each SQL database."""

from __future__ import annotations

from tests.cli.conftest import NOVEMBER, Command, Outcome, day


def test_a_day_in_the_life(run: Command, empty_url: str):
    def call(*arguments: str, **more: str) -> Outcome:
        return run(*arguments, url=empty_url, **more)

    def succeed(*arguments: str, **more: str) -> Outcome:
        done = call(*arguments, **more)
        assert (done.code, done.stderr) == (0, "")
        return done

    place = ("sales", "nightly", *day(1))
    succeed("db", "upgrade")
    token = succeed("source", "register", "sales", "--owner", "data-team").stdout.splitlines()[-1]
    succeed("provider", "register", "nightly", stdin=token)
    locked = succeed("lock", *place, "--holder", "me", "--lease", "2h", "--json").json
    waiting = call("ready", "sales", *day(1))
    assert (waiting.code, waiting.stderr) == (1, "")
    assert "is being written by me" in waiting.stdout
    refused = call("lock", *place, "--holder", "you")
    assert (refused.code, refused.stdout) == (5, "")
    succeed("unlock", *place, "--generation", str(locked["generation"]))
    assert succeed("ready", "sales", *day(1)).stdout.startswith("Ready: ")
    assert "ready" in succeed("status", "sales", *NOVEMBER).stdout
    succeed("invalidate", *place, "--reason", "wrong", "--by", "ann")
    succeed("withdraw", *place, "--reason", "retired", "--by", "ann")
    assert succeed("db", "verify").stdout.endswith(" is sound.\n")
