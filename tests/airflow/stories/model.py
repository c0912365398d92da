"""The small model: what is in the partition, and whether every writer was proved when it was published.

It shares no code with the product, and knows of the registry only the generation that it shows and its history.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

Key = tuple[str, int]
"""A task instance: task id and map index, which is -1 for tasks that are not mapped."""

States = Mapping[Key, str | None]


@dataclass(frozen=True)
class Written:
    """What a writer wrote.

    :param under: the generation that the registry showed when it began.
    :param is_whole: whether it came to its end.
    """

    under: int
    is_whole: bool = False


@dataclass
class Model:
    """The data of one partition, which a single run writes.

    :param upstream: of each task, the tasks right before it.
    :param writers: all task instances that write.
    :param on_skipped: what the DAG's author says a decision to do nothing means.
    """

    upstream: Mapping[str, Collection[str]]
    writers: frozenset[Key]
    on_skipped: str
    data: dict[Key, Written] = field(default_factory=dict)
    vouched: dict[Key, int] = field(default_factory=dict)
    skipped_by_dag: set[Key] = field(default_factory=set)
    stops: set[str] = field(default_factory=set)
    required: dict[int, frozenset[Key]] = field(default_factory=dict)

    # What happens

    def begins(self, key: Key, generation: int) -> None:
        """A writer begins: whatever it wrote before is overwritten in part."""
        self.data[key] = Written(generation)
        self.vouched.pop(key, None)

    def ends(self, key: Key) -> None:
        """A writer has come to the end of its code."""
        self.data[key] = Written(self.data[key].under, is_whole=True)

    def decides(self, task_id: str, chosen: Collection[str]) -> None:
        """A branch or short circuit chose among what follows it."""
        self.stops.discard(task_id)
        if not chosen:
            self.stops.add(task_id)

    def is_vouched_for(self, keys: Collection[Key], generation: int) -> None:
        """A person marks exactly these task instances as successful."""
        self.vouched |= dict.fromkeys(keys, generation)

    def is_cleared(self, keys: Collection[Key]) -> None:
        """These are to run again; marks on them count no longer."""
        for key in keys:
            self.vouched.pop(key, None)

    def states_change(
        self, before: States, after: States, *, by_dag: bool, itself: Key | None = None
    ) -> None:
        """Note what the DAG skipped by what it decided, as opposed to what people and tasks skipped.

        :param by_dag: whether no person interfered meanwhile.
        :param itself: the task instance that ran, if one did; the DAG has not decided that it is skipped.
        """
        for key in {key for key, state in after.items() if state != "skipped"}:
            self.skipped_by_dag.discard(key)
        newly = {
            key for key, state in after.items() if state == "skipped" and before.get(key) != "skipped"
        } - {itself}
        while by_dag and newly:
            known = {key for key in newly if self._is_skipped_for_a_reason(key, after)}
            if not known:
                return
            self.skipped_by_dag |= known
            newly -= known

    def _is_skipped_for_a_reason(self, key: Key, states: States) -> bool:
        """Whether the DAG also decided to skip everything before it that is skipped."""
        before = {
            each
            for each, state in states.items()
            if each[0] in self.upstream[key[0]] and state == "skipped" and each[1] in (-1, key[1])
        }
        return before <= self.skipped_by_dag

    def is_published(self, generation: int) -> None:
        """The run's unlock publishes: this is what must be there."""
        unmapped = {task_id for task_id, index in self.skipped_by_dag if index == -1}
        self.required[generation] = frozenset(
            key for key in self.writers if key not in self.skipped_by_dag and key[0] not in unmapped
        )

    # What must hold

    def why_not_good(self, generation: int) -> list[str]:
        """What is wrong with data that may be read as published under this generation."""
        required = self.required[generation]
        wrong = [
            f"{key} is {self.data.get(key, 'not written')}"
            for key in sorted(required)
            if not self._is_proved(key, generation)
        ]
        wrong += [
            f"{key} was written after the publication"
            for key, written in sorted(self.data.items())
            if written.under > generation
        ]
        return wrong

    def why_not_published(self) -> list[str]:
        """What keeps the data from being published now, given what the DAG's author said."""
        if self.on_skipped != "publish" and (stops := self._stops_that_count()):
            return [f"{stops} decided against the rest"]
        return []

    def _stops_that_count(self) -> set[str]:
        skipped = {task_id for task_id, _ in self.skipped_by_dag}
        writers = {task_id for task_id, _ in self.writers}
        return {stop for stop in self.stops if any(stop in self.upstream[each] for each in skipped & writers)}

    def _is_proved(self, key: Key, generation: int) -> bool:
        if self.vouched.get(key, self.vouched.get((key[0], -1))) == generation:
            return True
        return self.data.get(key) == Written(generation, is_whole=True)
