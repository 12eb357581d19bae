"""What the tests of instance stores have in common: how they come to a store, fill it and ask it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from dicomweb_core.errors import NotFound
from dicomweb_core.rules.entities import attributes_of
from dicomweb_core.rules.matching import matches
from dicomweb_core.storage.instances import (
    Candidate,
    InstanceStore,
    OnDuplicate,
    Outcome,
    Pending,
    StagedBlob,
)
from dicomweb_core.testing.samples import (
    Sample,
)
from dicomweb_core.values.queries import Level, MatchKey, Query
from dicomweb_core.values.resources import InstanceRef, Ref, StudyRef

T = TypeVar("T")


class StoreMaker:
    """How the tests of a kit come to their stores."""

    def make_store(self) -> InstanceStore:
        """A new, empty store. Override it."""
        raise NotImplementedError

    def reopen_store(self, store: InstanceStore) -> InstanceStore | None:
        """The same content, opened anew after `store` was closed; None if the store is not durable."""
        return None

    @contextmanager
    def opened(self, samples: Sequence[Sample] | Iterator[Sample] = ()) -> Iterator[InstanceStore]:
        """A store with these in it, closed at the end."""
        store = self.make_store()
        try:
            samples = list(samples)
            if samples:
                outcomes = put(store, samples)
                assert set(outcomes) == {Outcome.STORED}, outcomes
            yield store
            assert list(store.verify()) == [], "verify finds problems"
        finally:
            store.close()


def staged(store: InstanceStore, made: Sample) -> StagedBlob:
    """The file of a sample, sealed, not committed."""
    blob = store.stage()
    blob.write(made.part10)
    blob.seal().close()
    return blob


def put(store: InstanceStore, samples: Sequence[Sample], on_duplicate: OnDuplicate = OnDuplicate.KEEP) -> list[Outcome]:
    """Stores all in one commit."""
    pending = [Pending(staged(store, made), made.record) for made in samples]
    return store.commit(pending, on_duplicate=on_duplicate)


def missing(store: InstanceStore, ref: Ref) -> type[NotFound] | None:
    """What every method that takes the ref raises: Gone, NotFound, None if it is there. They have to agree."""
    calls: list[Callable[[], object]] = [lambda: store.instances(ref), lambda: store.metadata(ref)]
    calls.append(lambda: store.version(ref))
    if isinstance(ref, InstanceRef):
        calls += [lambda: store.get(ref), lambda: store.open(ref).close()]
    if isinstance(ref, StudyRef):
        calls.append(lambda: store.study(ref))
    raised: set[type[NotFound] | None] = set()
    for call in calls:
        try:
            call()
        except NotFound as error:
            raised.add(type(error))
        else:
            raised.add(None)
    assert len(raised) == 1, f"methods do not agree about {ref}: {raised}"
    return raised.pop()


def found_by(store: InstanceStore, level: Level, key: MatchKey) -> list[Candidate]:
    """What a search with one key finds, compared here if the store leaves it to others."""
    found = store.candidates(Query(level, keys=(key,)))
    if found.exact:
        return list(found)
    return [one for one in found if matches((key,), attributes_of(one))]


def studies(found: Any) -> list[str]:
    """Their Study Instance UIDs."""
    return [one.study.ref.study for one in found]


def refs(found: Any) -> list[InstanceRef]:
    """Of instances."""
    return [one.instance.ref for one in found]


def at_once(threads: int, call: Callable[[int], T]) -> list[T]:
    """Calls from so many threads at the same moment; what they gave, by number. Raises what one of them raised."""
    barrier = threading.Barrier(threads)
    results: dict[int, T] = {}
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            barrier.wait(30)
            results[number] = call(number)
        except BaseException as error:
            errors.append(error)

    running = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(60)
        assert not thread.is_alive(), "a thread does not come back"
    if errors:
        raise errors[0]
    return [results[number] for number in range(threads)]
