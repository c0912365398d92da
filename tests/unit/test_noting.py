"""What is told to those who wait: once what is missing, and then only what changes."""

from __future__ import annotations

import pytest

from airflow_provider_partition_registry.domain.noting import Notes, what_changed

DAY = "[2026-11-01T00:00:00Z, 2026-11-02T00:00:00Z)"
HOUR = "[2026-11-01T05:00:00Z, 2026-11-01T06:00:00Z)"
SALES = f"Not ready: {DAY} of source 'sales':"
CLICKS = f"Not ready: {DAY} of source 'clicks':"
GAP = f"nobody has published {DAY}"
LATER_GAP = f"nobody has published {HOUR}"
LOCKED = f"{HOUR} of provider 'loader' is being written by emea/load since 05:59"
FAILED = f"{HOUR} of provider 'loader' failed at 06:10: disk full"
MISSING_SOURCE = "Source 'sales' is not registered."


def text(heading: str, *reasons: str) -> str:
    return "\n  ".join([heading, *reasons])


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ("", text(SALES, GAP, LOCKED), text(SALES, GAP, LOCKED)),
        (text(SALES, GAP), text(SALES, GAP), ""),
        ("", "", ""),
        (text(SALES, GAP), "", f"Ready: {DAY} of source 'sales'."),
        (
            text(SALES, LOCKED),
            text(SALES, FAILED),
            text(f"Still not ready: {DAY} of source 'sales':", f"now: {FAILED}"),
        ),
        (
            text(SALES, GAP, LOCKED),
            text(SALES, GAP),
            text(f"Still not ready: {DAY} of source 'sales':", f"no longer: {LOCKED}"),
        ),
        (
            text(SALES, GAP),
            text(SALES, LATER_GAP),
            text(f"Still not ready: {DAY} of source 'sales':", f"now: {LATER_GAP}"),
        ),
        (  # that it is being written says also that it is no longer merely missing
            text(SALES, GAP),
            text(SALES, LOCKED),
            text(f"Still not ready: {DAY} of source 'sales':", f"now: {LOCKED}"),
        ),
        (  # a second source came true; of the first one there is nothing new
            "\n".join([text(SALES, GAP), text(CLICKS, GAP)]),
            text(SALES, GAP),
            f"Ready: {DAY} of source 'clicks'.",
        ),
        (
            MISSING_SOURCE,
            text(SALES, GAP),
            "\n".join([text(SALES, GAP), f"No longer: {MISSING_SOURCE}"]),
        ),
    ],
)
def test_only_what_changed_is_told(before: str, now: str, told: str) -> None:
    assert what_changed(before, now) == told


class TestNotes:
    def test_where_to_look_is_told_once(self) -> None:
        notes = Notes()
        assert notes.take(text(SALES, GAP), "Timeline: here") == text(SALES, GAP) + "\nTimeline: here"
        assert notes.take(text(SALES, GAP), "Timeline: here") == ""
        assert "Timeline" not in notes.take(text(SALES, LOCKED), "Timeline: here")

    def test_an_outage_is_told_once_and_so_is_its_end(self) -> None:
        notes = Notes()
        notes.take(text(SALES, GAP))
        assert notes.take_trouble("No route.") == "Still waiting. No route."
        assert notes.take_trouble("No route.") == ""
        assert notes.take_trouble("Refused.") == "Still waiting. Refused."
        assert notes.take(text(SALES, GAP)) == "The registry responds again, with the same."
        notes.take_trouble("Refused.")
        assert notes.take(text(SALES, LOCKED)).splitlines()[::2] == [
            "The registry responds again.",
            f"  now: {LOCKED}",
        ]
        assert notes.take_trouble("Refused.") != ""

    def test_a_later_process_goes_on_where_an_earlier_one_ended(self) -> None:
        notes = Notes()
        notes.take(text(SALES, GAP))
        notes.take_trouble("No route.")
        later = Notes.read(notes.written())
        assert later == notes
        assert later.take_trouble("No route.") == ""

    @pytest.mark.parametrize("text", ["", "Not ready: as former versions wrote it", "[1]", '{"other": 1}'])
    def test_notes_that_cannot_be_read_tell_nothing(self, text: str) -> None:
        assert Notes.read(text) == Notes()
