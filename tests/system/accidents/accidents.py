"""The accidents that happen to writing DAGs, and what must come of each."""

from __future__ import annotations

from tests.system.accidents.beside import BESIDE
from tests.system.accidents.broken import HEALTHY, KILLED, SILENT
from tests.system.accidents.cleared import CLEARED
from tests.system.accidents.decided import DECIDED, MAPPED
from tests.system.accidents.marked import MARKED

ACCIDENTS = (*MARKED, *CLEARED, *DECIDED, *MAPPED, *KILLED, *SILENT, *HEALTHY, *BESIDE)
