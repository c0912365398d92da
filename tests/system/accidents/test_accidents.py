"""What comes of accidents on real instances of both versions, while a reader asks all the time.

``ACCIDENTS=all`` plays all of them, in minutes; otherwise those that happen most are played.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import Future

import pytest

from tests.system.accidents.accidents import ACCIDENTS
from tests.system.accidents.judging import Verdict
from tests.system.accidents.scenario import Play, plays_of

pytestmark = [pytest.mark.system, pytest.mark.timeout(3600)]

PLAYS = plays_of(ACCIDENTS, only_quick=os.environ.get("ACCIDENTS") != "all")


@pytest.mark.parametrize("play", PLAYS, ids=str)
def test_accident(verdicts: Mapping[Play, Future[Verdict]], play: Play) -> None:
    verdict = verdicts[play].result()

    assert not verdict.faults, f"{verdict}\n{verdict.story}"
