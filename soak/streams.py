"""The event streams: clients of the web service that follow the history as server-sent events, hundreds in one loop.

``python -m soak.streams PLAN JOURNAL POSITIONS URL AFTER``. SIGTERM ends it; it then writes which positions each stream
has received into the file ``POSITIONS``.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
import time
from array import array
from datetime import datetime
from pathlib import Path
from urllib.parse import SplitResult, urlencode, urlsplit

import httptools

from soak.journal import STREAMS, Arrival, Journal, Presence
from soak.plan import Following, Plan, number_of, source_name

NOTED_EVERY = 1.0  # seconds
PAUSE = 2.0  # seconds on average before a stream that was lost is opened again, about as browsers do
RENEWALS = 6  # times that each stream is opened anew on average
TAKEN_AT_ONCE = 50  # streams that are being opened at the same time
PUBLISHED = b"event: UNLOCK\n"


class Stream:
    """A client that follows the history, and after a loss goes on where it was.

    It opens its stream anew from time to time, as people and proxies do: else all streams would stay with the service
    that was not killed last.

    :param after: the position that it begins after.
    :param renewed_every: seconds on average.
    """

    def __init__(
        self,
        service: SplitResult,
        following: Following,
        after: int,
        renewed_every: float,
        journal: Journal,
    ) -> None:
        self.positions = array("q")
        self.is_open = False
        self.following = following
        self._service = service
        self._after = after
        self._renewed_every = renewed_every
        self._journal = journal

    async def follow(self, opening: asyncio.Semaphore) -> None:
        """Follow until cancelled."""
        while True:
            try:
                await self._follow_for_a_while(opening)
                continue
            except OSError:
                self.is_open = False
            await asyncio.sleep(random.uniform(0, 2 * PAUSE))

    async def _follow_for_a_while(self, opening: asyncio.Semaphore) -> None:
        """Return when it is time to open the stream anew.

        :raises OSError: the stream was lost.
        """
        loop = asyncio.get_running_loop()
        host, port = str(self._service.hostname), self._service.port or 80
        async with opening:
            _, connection = await loop.create_connection(lambda: _Connection(self), host, port)
            connection.transport.write(self._request())
        try:
            async with asyncio.timeout(random.uniform(0, 2 * self._renewed_every)):
                await connection.closed
        except TimeoutError:
            connection.transport.close()
        else:
            raise ConnectionError("The stream was lost.")

    def _request(self) -> bytes:
        source = self.following.source
        params: dict[str, str | int] = {} if source is None else {"source_name": source_name(source)}
        last = self.positions[-1] if self.positions else self._after
        return (
            f"GET /api/v1/events/stream?{urlencode(params)} HTTP/1.1\r\n"
            f"Host: {self._service.netloc}\r\nAccept: text/event-stream\r\nLast-Event-ID: {last}\r\n\r\n"
        ).encode()

    def take(self, message: bytes) -> None:
        """Take one message of the stream; those without an id only say that it is alive."""
        _, found, position = message.rpartition(b"\nid: ")
        if not found:
            return
        self.positions.append(int(position))
        if self.following.is_timed and message.startswith(PUBLISHED):
            self._note(message)

    def _note(self, message: bytes) -> None:
        at = time.monotonic()
        event = json.loads(message.partition(b"\ndata: ")[2].partition(b"\n")[0])
        source = int(event["source_name"].rpartition("-")[2])
        number = number_of(datetime.fromisoformat(event["interval"]["start"]))
        self._journal.note(Arrival(self.following.source is None, source, number, at))


class _Connection(asyncio.Protocol):
    """One response of the service, for as long as it lasts."""

    transport: asyncio.Transport

    def __init__(self, stream: Stream) -> None:
        self.closed = asyncio.get_running_loop().create_future()
        self._stream = stream
        self._begun = b""
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_headers_complete(self) -> None:
        self._stream.is_open = self._parser.get_status_code() == 200
        if not self._stream.is_open:
            self.transport.close()

    def on_body(self, body: bytes) -> None:
        if self._parser.get_status_code() == 200:
            *messages, self._begun = (self._begun + body).split(b"\n\n")
            for message in messages:
                self._stream.take(message)

    def on_message_complete(self) -> None:
        self.transport.close()

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)


async def main(plan: Plan, journal: Journal, url: str, after: int) -> list[list[int]]:
    """Follow until told to end; returns the positions that each stream has received."""
    streams = [
        Stream(urlsplit(url), each, after, plan.seconds / RENEWALS, journal) for each in plan.followings()
    ]
    opening = asyncio.Semaphore(TAKEN_AT_ONCE)
    following = [asyncio.create_task(each.follow(opening)) for each in streams]
    noting = asyncio.create_task(_note_presence(streams, journal))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, noting.cancel)
    ended, _ = await asyncio.wait([noting, *following], return_when=asyncio.FIRST_COMPLETED)
    for task in ended - {noting}:
        task.result()  # which raises, as a stream never ends by itself
    for task in following:
        task.cancel()
    await asyncio.gather(*following, return_exceptions=True)
    return [list(each.positions) for each in streams]


async def _note_presence(streams: list[Stream], journal: Journal) -> None:
    while True:
        received = sum(len(each.positions) for each in streams)
        present = sum(each.is_open for each in streams)
        journal.note(Presence(STREAMS, time.monotonic(), present, received))
        await asyncio.sleep(NOTED_EVERY)


if __name__ == "__main__":
    plan_, journal_, positions_, url_, after_ = sys.argv[1:]
    received = asyncio.run(main(Plan.from_json(plan_), Journal(Path(journal_)), url_, int(after_)))
    Path(positions_).write_text(json.dumps(received))
