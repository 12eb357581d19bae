"""A store against another: the same random operations on both, every answer compared.

The other is the in-memory store; what it answers is right by inspection. A walk is a function of its seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final

from dicomweb_core.errors import NotFound
from dicomweb_core.rules.entities import attributes_of
from dicomweb_core.rules.matching import matches
from dicomweb_core.storage.instances import Candidate, InstanceStore, OnDuplicate
from dicomweb_core.testing.samples import Sample, sample, sample_ref, study_uid, with_ref
from dicomweb_core.testing.store_calls import put
from dicomweb_core.values.queries import (
    AnyUID,
    Condition,
    EmptyValue,
    Level,
    MatchKey,
    Query,
    Range,
    SingleValue,
    Wildcard,
)
from dicomweb_core.values.resources import Ref, SeriesRef, StudyRef

_STUDIES: Final = 5
_SERIES: Final = 3
_INSTANCES: Final = 4

_CONDITIONS: Final[tuple[tuple[Level, str, str, Condition], ...]] = (
    (Level.STUDY, "00100020", "LO", SingleValue("P2")),
    (Level.STUDY, "00100020", "LO", Wildcard("P*")),
    (Level.STUDY, "00100010", "PN", Wildcard("Sample^*3")),
    (Level.STUDY, "00100010", "PN", SingleValue("SAMPLE^PATIENT1")),
    (Level.STUDY, "00080020", "DA", Range("20000103", "20000105")),
    (Level.STUDY, "00080020", "DA", SingleValue("20000104")),
    (Level.STUDY, "00080061", "CS", SingleValue("MR")),
    (Level.STUDY, "0020000D", "UI", AnyUID(frozenset({study_uid(1), study_uid(4), "1.2.3"}))),
    (Level.STUDY, "00100030", "DA", EmptyValue()),
    (Level.SERIES, "00080060", "CS", SingleValue("CT")),
    (Level.SERIES, "00080060", "CS", Wildcard("?T")),
    (Level.SERIES, "0020000E", "UI", AnyUID(frozenset({sample_ref(2, 2).series}))),
    (Level.INSTANCE, "00080018", "UI", AnyUID(frozenset({sample_ref(3, 1, 2).instance, sample_ref(1).instance}))),
    (Level.INSTANCE, "00080016", "UI", SingleValue("1.2.840.10008.5.1.4.1.1.2")),
    (Level.INSTANCE, "00200013", "IS", SingleValue("2")),
)


class RandomWalk:
    """Walks with two stores. `reopen`, if given, closes and reopens the first, now and then."""

    def __init__(
        self,
        store: InstanceStore,
        oracle: InstanceStore,
        *,
        seed: int,
        reopen: Callable[[InstanceStore], InstanceStore] | None = None,
    ) -> None:
        self.store = store
        self._oracle = oracle
        self._reopen = reopen
        self._random = random.Random(seed)

    def walk(self, steps: int) -> None:
        """Raises AssertionError at the first difference; it names the step."""
        for number in range(steps):
            step = self._random.choices((self._put, self._delete, self._read, self._search), (4, 1, 3, 3))[0]
            detail = step()
            assert self.store.statistics() == self._oracle.statistics(), f"step {number}: {detail}: statistics"
            if self._reopen is not None and self._random.random() < 0.02:
                self.store = self._reopen(self.store)
        problems = list(self.store.verify())
        assert problems == [], problems

    def _put(self) -> str:
        samples = [self._sample() for _ in range(self._random.choice((1, 1, 2, 6)))]
        policy = self._random.choice(list(OnDuplicate))
        outcomes = put(self.store, samples, policy), put(self._oracle, samples, policy)
        assert outcomes[0] == outcomes[1], f"{policy}, {[made.ref for made in samples]}: {outcomes}"
        return f"put {policy}"

    def _delete(self) -> str:
        ref = self._ref()
        self._compare(f"delete {ref}", lambda store: store.delete(ref))
        return f"delete {ref}"

    def _read(self) -> str:
        ref = self._ref()
        self._compare(f"instances of {ref}", lambda store: [stored[:-1] for stored in store.instances(ref)])
        self._compare(f"metadata of {ref}", lambda store: list(store.metadata(ref)))
        if isinstance(ref, StudyRef):
            self._compare(f"study {ref}", lambda store: store.study(ref))
        elif not isinstance(ref, SeriesRef):
            self._compare(f"get {ref}", lambda store: store.get(ref)[:-1])
            self._compare(f"content of {ref}", lambda store: _content(store, ref))
        return f"read {ref}"

    def _search(self) -> str:
        level = self._random.choice(list(Level))
        possible = [one for one in _CONDITIONS if one[0] <= level]
        chosen = self._random.sample(possible, self._random.choice((0, 1, 1, 2, 3)))
        keys = tuple(MatchKey(tag, vr, condition) for _, tag, vr, condition in chosen)
        query = Query(level, within=self._within(level), keys=keys, needs_metadata=self._random.random() < 0.3)
        offset, limit = self._random.randrange(20), self._random.randrange(20)
        self._compare(f"{query}", lambda store: _found(store, query, offset, limit))
        return f"search {query}"

    def _compare(self, what: str, ask: Callable[[InstanceStore], Any]) -> None:
        answers = []
        for store in (self.store, self._oracle):
            try:
                answers.append(ask(store))
            except NotFound as error:
                answers.append(type(error))
        assert answers[0] == answers[1], f"{what}: {answers[0]} instead of {answers[1]}"

    def _sample(self) -> Sample:
        study, series, instance = self._numbers()
        seed = self._random.randrange(3)
        modality = ("CT", "MR", "PT")[(series + seed // 2) % 3]
        side = 190 if instance == 4 else 2 + seed
        made = sample(study, series, instance, seed=seed, modality=modality, rows=side, columns=side)
        if self._random.random() < 0.1:
            return with_ref(made, self._twisted(made))
        return made

    def _twisted(self, made: Sample) -> Any:
        """A ref that mixes the UIDs of several: an instance elsewhere, a series in two studies."""
        other = sample_ref(*self._numbers())
        return made.ref._replace(**{self._random.choice(("study", "series")): self._random.choice(other)})

    def _ref(self) -> Ref:
        ref = sample_ref(*self._numbers())
        if self._random.random() < 0.1:
            ref = ref._replace(study=sample_ref(*self._numbers()).study)
        return self._random.choice((ref, ref, ref.of_series, ref.of_study))

    def _within(self, level: Level) -> StudyRef | SeriesRef | None:
        ref = sample_ref(*self._numbers())
        possible: tuple[StudyRef | SeriesRef | None, ...] = (None, None, ref.of_study, ref.of_series)
        return self._random.choice(possible[: level + 1])

    def _numbers(self) -> tuple[int, int, int]:
        choose = self._random.randint
        return choose(1, _STUDIES), choose(1, _SERIES), choose(1, _INSTANCES)


def _content(store: InstanceStore, ref: Any) -> bytes:
    reader = store.open(ref)
    try:
        return reader.read(0, reader.size)
    finally:
        reader.close()


def _found(store: InstanceStore, query: Query, offset: int, limit: int) -> list[Candidate]:
    """What matches, of the page; compared here unless the store has."""
    found = store.candidates(query)
    if found.exact:
        whole = list(found)
        assert list(found.page(offset, limit)) == whole[offset : offset + limit], f"page of {query}"
        assert len(found) == len(whole), f"length of {query}"
    else:
        whole = [one for one in found if matches(query.keys, attributes_of(one))]
    return whole
