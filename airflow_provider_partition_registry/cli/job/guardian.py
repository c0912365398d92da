"""A process that outlives a runner just long enough to end the runner's command.

A runner that is killed (``kill -9``, out of memory) can stop nothing any more, and its command would go on writing
what others may lock once the lease is over. The guardian leads the process group that the command is started in. Its
standard input, whose other end only the runner holds, then ends without the word that all is well. It imports nothing
of ours, and starts in a few milliseconds.
"""

from __future__ import annotations

import os
import signal
import sys
import time

WELL = "well"


def main(grace: float) -> None:
    """Wait for the runner to go; unless it said that all is well, end our process group.

    The runner has us started with the signals blocked that it sends to the group.
    """
    if sys.stdin.readline().strip() == WELL:
        return
    os.killpg(0, signal.SIGTERM)
    time.sleep(grace)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main(float(sys.argv[1]))
