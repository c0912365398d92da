"""An independent oracle of the rules R1 to R9: a dictionary of partitions, searched by brute force.

It shares no code with the package; plain datetimes, numbers and texts go in and come out. Refusals carry the
stable code of the documented error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise, takewhile

Span = tuple[datetime, datetime]
Key = tuple[str, str, Span]

LOCKED = ("locked", "expired")
BLOCKING = ("locked", "expired", "failed")
REWRITING = ("LOCK", "UNLOCK", "FAIL", "RELEASE", "FORCE_RELEASE", "INVALIDATE", "WITHDRAW")


class Refused(Exception):  # noqa: N818 - not an error: an answer
    """The rules do not allow the call; nothing changed."""

    def __init__(self, code: str, because_of: frozenset[Key] = frozenset()) -> None:
        super().__init__(code)
        self.code = code
        self.because_of = because_of


@dataclass
class Record:
    """One partition. When somebody takes its lock away, ``holder`` is forgotten and its generation is dead."""

    source: str
    provider: str
    span: Span
    state: str = "registered"
    generation: int = 0
    holder: str | None = None
    expires: datetime | None = None
    exclusive: bool = False
    published: datetime | None = None
    was_withdrawn: bool = False
    reason: str | None = None
    before: tuple[str, datetime | None, str | None] | None = None
    """What a release restores: state, publishing time, reason."""
    released_by: str | None = None

    @property
    def key(self) -> Key:
        return self.source, self.provider, self.span

    def state_at(self, now: datetime) -> str:
        over = self.state == "locked" and self.expires is not None and self.expires <= now
        return "expired" if over else self.state

    def is_of(self, holder: str, generation: int | None) -> bool:
        """Whether the lock, present or finished, is the caller's."""
        if self.holder is None:
            return False
        return self.holder == holder if generation is None else self.generation == generation

    def was_never_locked(self, generation: int | None) -> bool:
        return self.generation == 0 and generation in (None, 0) and not self.was_withdrawn

    def become(self, state: str, now: datetime, reason: str | None = None) -> None:
        self.state = state
        self.published = now if state == "ready" else None
        self.reason = reason
        self.before = self.released_by = None

    def forget_lock(self) -> None:
        self.holder = self.expires = None
        self.exclusive = False


@dataclass(frozen=True)
class Line:
    """One line of the history."""

    type: str
    at: datetime
    source: str
    provider: str | None = None
    span: Span | None = None
    holder: str | None = None
    generation: int | None = None
    details: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """The answer to a reader. ``blockers`` are keys with the state of each."""

    is_ready: bool
    gaps: list[Span]
    blockers: dict[Key, str]
    stale: list[Span]


@dataclass
class Oracle:
    """Everything that is registered, and everything that happened."""

    sources: set[str] = field(default_factory=set)
    providers: set[str] = field(default_factory=set)
    grants: set[tuple[str, str]] = field(default_factory=set)
    partitions: dict[Key, Record] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    former: dict[str, int] = field(default_factory=dict)
    """By source: the greatest generation of a partition that was pruned."""
    pruned: dict[str, int] = field(default_factory=dict)
    """By source: how many lines there were up to the last one about a partition that was pruned."""

    # Registering (R10)

    def register_source(self, source: str, now: datetime, owner: str, token_id: str) -> None:
        if source in self.sources:
            raise Refused("source_already_registered")
        self.sources.add(source)
        self.lines.append(
            Line("SOURCE_REGISTERED", now, source, details={"owner": owner, "token_id": token_id})
        )

    def register_provider(self, provider: str, source: str, now: datetime, token_id: str | None) -> None:
        """Register a provider; a token is issued only to a new one."""
        if (provider, source) in self.grants:
            raise Refused("provider_already_registered")
        is_new = provider not in self.providers
        assert (token_id is not None) is is_new
        self.providers.add(provider)
        self.grants.add((provider, source))
        line, details = ("PROVIDER_REGISTERED", {"token_id": token_id}) if is_new else ("GRANTED", {})
        self.lines.append(Line(line, now, source, provider, details=details))

    def revoke_grant(self, provider: str, source: str, now: datetime, **why: str) -> None:
        self._require_grant(source, provider)
        self.grants.remove((provider, source))
        self.lines.append(Line("GRANT_REVOKED", now, source, provider, details=why))

    def rotate_token(self, source: str, now: datetime, token_id: str) -> None:
        details = {"token_id": token_id, "others_revoked_at": _text_of(now)}
        self.lines.append(Line("TOKEN_ROTATED", now, source, details=details))

    def register_partition(self, source: str, provider: str, span: Span, now: datetime) -> Record:
        self._require_grant(source, provider)
        if (source, provider, span) in self.partitions:
            raise Refused("partition_already_registered")
        return self._add(source, provider, span, now)

    # Locking (R3 to R6)

    def lock(
        self,
        key: Key,
        now: datetime,
        holder: str | None = None,
        lease: timedelta | None = None,
        exclusive: bool = False,
        register: bool = False,
        about_holder: Mapping[str, str] | None = None,
    ) -> None:
        source, provider, span = key
        self._require_grant(source, provider)
        if key not in self.partitions and not register:
            raise Refused("unknown_partition")
        taker = provider if holder is None else holder
        rivals = self._rivals(key, taker, exclusive)
        held = frozenset(rival.key for rival in rivals if rival.state_at(now) == "locked")
        if held:
            raise Refused("partition_locked", held)
        record = self.partitions.get(key) or self._add(source, provider, span, now)
        loser = record.holder if record in rivals else None
        before: tuple[str, datetime | None, str | None] | None
        if loser:
            cause = f"The lease of {loser} ran out before it had finished, so its data may be half-written"
            before = "failed", None, f"{cause}; {taker} took over."
        elif record.state == "locked":
            before = record.before  # the holder takes its own lock again
        else:
            before = record.state, record.published, record.reason
        record.become("locked", now)
        record.before = before
        record.generation = (record.generation or self.former.get(source, 0)) + 1
        record.holder, record.exclusive = taker, exclusive
        record.expires = None if lease is None else now + lease
        # The details that the registry adds to a lock's event, a holder cannot set.
        details = {
            "exclusive": "true" if exclusive else None,
            "expires_at": _text_of(record.expires),
            "took_over_from": loser,
            "was_ready": None,
        }
        told = {**(about_holder or {}), **details}
        self._tell("LOCK", now, record, taker, {key: text for key, text in told.items() if text})
        for rival in rivals:
            if rival is not record:
                loser = rival.holder
                reason = f"Its lease ran out and {taker} took over with an overlapping lock."
                rival.become("failed", now, reason)
                rival.forget_lock()
                self._tell("FAIL", now, rival, loser, {"reason": reason})

    def renew(self, key: Key, now: datetime, generation: int, lease: timedelta) -> None:
        record = self._require(key)
        if record.state != "locked" or generation != record.generation:
            raise Refused("not_lock_holder")
        record.expires = now + lease if record.expires is None else max(record.expires, now + lease)
        self._tell("RENEW", now, record, record.holder, {"expires_at": _text_of(record.expires)})

    def unlock(
        self, key: Key, now: datetime, holder: str | None = None, generation: int | None = None
    ) -> None:
        record, caller = self._require(key), key[1] if holder is None else holder
        if record.state == "locked" and record.is_of(caller, generation):
            caller = record.holder
        elif record.state == "ready" and (
            record.is_of(caller, generation) or record.was_never_locked(generation)
        ):
            return
        elif not (record.state == "registered" and record.was_never_locked(generation)):
            raise Refused("not_lock_holder")
        record.become("ready", now)
        self._tell("UNLOCK", now, record, caller)

    def fail(
        self, key: Key, now: datetime, reason: str, holder: str | None = None, generation: int | None = None
    ) -> None:
        record, caller = self._require(key), key[1] if holder is None else holder
        if not record.is_of(caller, generation) or record.state not in ("locked", "failed"):
            raise Refused("not_lock_holder")
        if record.state == "locked":
            record.become("failed", now, reason)
            self._tell("FAIL", now, record, record.holder, {"reason": reason})

    def release(
        self, key: Key, now: datetime, holder: str | None = None, generation: int | None = None
    ) -> None:
        record, caller = self._require(key), key[1] if holder is None else holder
        if record.state != "locked":
            done_before = record.generation == generation or (
                generation is None and record.released_by == caller
            )
            if record.released_by is None or not done_before:
                raise Refused("not_lock_holder")
            return
        if not record.is_of(caller, generation):
            raise Refused("not_lock_holder")
        loser, (state, published, reason) = record.holder, record.before
        record.become(state, now, reason)
        record.published = published
        record.forget_lock()
        record.released_by = loser
        details = {"to": state, "reason": reason, "published_at": _text_of(published)}
        self._tell("RELEASE", now, record, loser, {key: text for key, text in details.items() if text})

    def force_release(self, key: Key, now: datetime, reason: str, by: str, to: str = "failed") -> None:
        details = {"reason": reason, "by": by, "to": to}
        self._decide(key, now, "FORCE_RELEASE", ("locked",), to, details)

    def invalidate(self, key: Key, now: datetime, reason: str, by: str) -> None:
        self._decide(key, now, "INVALIDATE", ("ready",), "failed", {"reason": reason, "by": by})

    def withdraw(self, key: Key, now: datetime, reason: str, by: str) -> None:
        allowed = ("locked", "failed", "ready")
        self._decide(key, now, "WITHDRAW", allowed, "registered", {"reason": reason, "by": by})
        self.partitions[key].was_withdrawn = True

    # Pruning

    def prune(self, before: datetime) -> list[Record]:
        """Remove the partitions on which no answer depends, and return them."""
        removed = []
        registered = [
            (line.source, line.provider, line.span)
            for line in self.lines
            if line.type == "PARTITION_REGISTERED"
        ]
        newest = next((key for key in reversed(registered) if key in self.partitions), None)
        for source in self.sources:
            of_source = [(number, line) for number, line in enumerate(self.lines, 1) if line.source == source]
            old = list(takewhile(lambda each: each[1].at < before, of_source))
            last = {
                (line.source, line.provider, line.span): number
                for number, line in of_source
                if line.span is not None
            }
            for number, line in old:
                key = line.source, line.provider, line.span
                record = self.partitions.get(key)
                is_last = last.get(key) == number != of_source[-1][0]
                if record and is_last and key != newest and self._is_superseded(record, before):
                    removed.append(self.partitions.pop(key))
                    self.former[source] = max(self.former.get(source, 0), record.generation)
                    self.pruned[source] = max(self.pruned.get(source, 0), number)
        return removed

    def _is_superseded(self, record: Record, before: datetime) -> bool:
        others = [
            each
            for each in self.of_source(record.source)
            if each is not record and each.state == "ready" and record.state == "ready"
            if record.published <= each.published < before
        ]
        segments = _segments(record.span, [each.span for each in others])
        return all(_published(others, each) for each in segments)

    # Reading (R1, R2, R7, R8)

    def readiness(
        self, source: str, span: Span, now: datetime, published_after: datetime | None = None
    ) -> Answer:
        touching = [each for each in self.of_source(source) if _overlap(each.span, span)]
        blockers = {each.key: each.state_at(now) for each in touching if each.state_at(now) in BLOCKING}
        ready = [each for each in touching if each.state == "ready"]
        segments = _segments(span, [each.span for each in touching])
        gaps = [each for each in segments if not _published(ready, each)]
        stale = []
        if published_after is not None:
            fresh = [each for each in ready if published_after <= each.published <= now]
            stale = [each for each in segments if _published(ready, each) and not _published(fresh, each)]
        return Answer(not (gaps or blockers or stale), _joined(gaps), blockers, _joined(stale))

    def ready_spans(self, source: str, now: datetime) -> list[Span]:
        """All ready instants of a source (R1), as the fewest spans."""
        known = self.of_source(source)
        if not known:
            return []
        everything = min(each.span[0] for each in known), max(each.span[1] for each in known)
        ready = [each for each in known if each.state == "ready"]
        blocked = [each for each in known if each.state_at(now) in BLOCKING]
        segments = _segments(everything, [each.span for each in known])
        return _joined(
            [each for each in segments if _published(ready, each) and not _published(blocked, each)]
        )

    def changed_since(self, source: str, span: Span, seen: int) -> bool:
        """Whether any line after the first ``seen`` ones rewrote something in the span, as far as is known."""
        return seen < self.pruned.get(source, 0) or any(
            line.source == source and line.type in REWRITING and _overlap(line.span, span)
            for line in self.lines[seen:]
        )

    def of_source(self, source: str) -> list[Record]:
        return [each for each in self.partitions.values() if each.source == source]

    # Inside

    def _require_grant(self, source: str, provider: str) -> None:
        if source not in self.sources:
            raise Refused("unknown_source")
        if provider not in self.providers:
            raise Refused("unknown_provider")
        if (provider, source) not in self.grants:
            raise Refused("no_grant")

    def _require(self, key: Key) -> Record:
        self._require_grant(key[0], key[1])
        if key not in self.partitions:
            raise Refused("unknown_partition")
        return self.partitions[key]

    def _add(self, source: str, provider: str, span: Span, now: datetime) -> Record:
        record = Record(source, provider, span)
        self.partitions[record.key] = record
        self._tell("PARTITION_REGISTERED", now, record, None)
        return record

    def _rivals(self, key: Key, taker: str, exclusive: bool) -> list[Record]:
        """The partitions whose present locks, expired or not, are in the way."""
        source, provider, span = key
        return [
            each
            for each in self.of_source(source)
            if each.state == "locked"
            and each.holder != taker
            and _overlap(each.span, span)
            and (each.key == key or each.provider == provider or exclusive or each.exclusive)
        ]

    def _decide(
        self,
        key: Key,
        now: datetime,
        line: str,
        allowed: tuple[str, ...],
        to: str,
        details: dict[str, str],
    ) -> None:
        # A decision of a person needs no grant (R10 names registering, locking, unlocking and failing).
        if key[0] not in self.sources:
            raise Refused("unknown_source")
        if key[1] not in self.providers:
            raise Refused("unknown_provider")
        if key not in self.partitions:
            raise Refused("unknown_partition")
        record = self.partitions[key]
        if record.state not in allowed:
            raise Refused("partition_state")
        loser = record.holder if record.state == "locked" else None
        record.become(to, now, f"{details['reason']} ({details['by']})")
        record.forget_lock()
        self._tell(line, now, record, loser, details)

    def _tell(
        self,
        line: str,
        now: datetime,
        record: Record,
        holder: str | None,
        details: dict[str, str] | None = None,
    ) -> None:
        place = record.source, record.provider, record.span
        self.lines.append(Line(line, now, *place, holder, record.generation or None, details or {}))


def _text_of(instant: datetime | None) -> str | None:
    return None if instant is None else instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def _overlap(one: Span, other: Span) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _segments(span: Span, others: list[Span]) -> list[Span]:
    """The span, cut wherever anything starts or ends."""
    inside = {instant for other in others for instant in other if span[0] < instant < span[1]}
    instants = sorted({*span, *inside})
    return list(pairwise(instants))


def _published(records: list[Record], segment: Span) -> bool:
    """Whether one of the records contains the segment; no record ends inside a segment."""
    return any(each.span[0] <= segment[0] < each.span[1] for each in records)


def _joined(segments: list[Span]) -> list[Span]:
    joined: list[Span] = []
    for start, end in segments:
        if joined and joined[-1][1] == start:
            joined[-1] = joined[-1][0], end
        else:
            joined.append((start, end))
    return joined
