"""Tests of lists and searches of an instance store: order, pages, what candidates promise."""

# ruff: noqa: N802 - names carry the IDs of the attacks they stand against
from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from dicomweb_core.storage.instances import (
    Candidate,
    InstanceStore,
    OnDuplicate,
)
from dicomweb_core.testing.samples import (
    CT_IMAGE,
    Sample,
    archive,
    sample,
    sample_ref,
)
from dicomweb_core.testing.store_calls import StoreMaker, found_by, put, refs, studies
from dicomweb_core.values.queries import AnyUID, EmptyValue, Level, MatchKey, Query, Range, SingleValue, Wildcard
from dicomweb_core.values.resources import InstanceRef, Ref, SeriesRef, StudyRef


class SearchConformance(StoreMaker):
    """Order is total and for life; candidates are never too few."""

    # -- order and iterators --

    def test_instances_and_metadata_come_series_by_series_in_order_of_arrival(self) -> None:
        order = [(1, 1, 2), (1, 2, 1), (1, 1, 1), (1, 2, 3), (1, 1, 3)]
        with self.opened([sample(*one) for one in order]) as store:
            expected = [sample_ref(1, 1, n) for n in (2, 1, 3)] + [sample_ref(1, 2, n) for n in (1, 3)]
            assert [stored.ref for stored in store.instances(sample_ref(1).of_study)] == expected
            assert [ref for ref, _ in store.metadata(sample_ref(1).of_study)] == expected
            assert [ref for ref, _ in store.metadata(sample_ref(1, 2).of_series)] == expected[3:]

    def test_every_level_comes_in_order_of_arrival(self) -> None:
        order = [(2, 1, 2), (1, 2, 1), (2, 2, 1), (1, 1, 1), (2, 1, 1), (1, 2, 2)]
        with self.opened() as store:
            for one in order:
                put(store, [sample(*one)])
            put(store, [sample(2, 1, 2, seed=5)], OnDuplicate.REPLACE)
            assert studies(store.candidates(Query(Level.STUDY))) == [sample_ref(2).study, sample_ref(1).study]
            of_series = [one.series.ref for one in store.candidates(Query(Level.SERIES)) if one.series]
            assert of_series == [sample_ref(*one).of_series for one in order[:4]]
            assert refs(store.candidates(Query(Level.INSTANCE))) == [sample_ref(*one) for one in order]
            within = Query(Level.INSTANCE, within=sample_ref(2).of_study)
            assert refs(store.candidates(within)) == [sample_ref(*one) for one in order if one[0] == 2]

    def test_pages_are_cuts_of_the_whole(self) -> None:
        with self.opened(archive(30, 2, 3)) as store:
            for deleted in (sample_ref(3).of_study, sample_ref(7, 2).of_series, sample_ref(9, 1, 1)):
                store.delete(deleted)
            for query in (
                Query(Level.STUDY),
                Query(Level.SERIES),
                Query(Level.INSTANCE),
                Query(Level.INSTANCE, within=sample_ref(5).of_study),
                Query(Level.SERIES, within=sample_ref(5).of_study),
                Query(Level.INSTANCE, within=sample_ref(5, 2).of_series),
            ):
                candidates = store.candidates(query)
                whole = list(candidates)
                assert len(candidates) == len(whole)
                for offset in (0, 1, 5, 29, len(whole) - 1, len(whole), len(whole) + 1, 10**12):
                    for limit in (0, 1, 7, 10**12):
                        page = list(candidates.page(offset, limit))
                        assert page == whole[offset : offset + limit], (query, offset, limit)

    def test_long_lists_are_read_in_batches_and_whole(self) -> None:
        with self.opened(archive(1, 3, 140)) as store:
            expected = [sample_ref(1, series, one) for series in (1, 2, 3) for one in range(1, 141)]
            assert [stored.ref for stored in store.instances(sample_ref(1).of_study)] == expected
            assert [ref for ref, _ in store.metadata(sample_ref(1).of_study)] == expected
            assert refs(store.candidates(Query(Level.INSTANCE))) == expected

    def test_pages_neither_repeat_nor_lose_when_others_arrive_A63(self) -> None:
        with self.opened(archive(40)) as store:
            seen: list[str] = []
            for page in range(8):
                seen += studies(store.candidates(Query(Level.STUDY)).page(page * 5, 5))
                put(store, [sample(100 + page)])
            assert seen == [sample_ref(study).study for study in range(1, 41)]

    def test_an_iterator_survives_what_happens_meanwhile_A74(self) -> None:
        def reads(store: InstanceStore) -> list[Iterator[Any]]:
            return [
                (stored.ref for stored in store.instances(sample_ref(1).of_study)),
                (ref for ref, _ in store.metadata(sample_ref(1).of_study)),
                (one.instance.ref for one in store.candidates(Query(Level.INSTANCE)) if one.instance),
            ]

        for which in range(3):
            with self.opened(archive(1, 2, 200)) as store:
                iterator = reads(store)[which]
                seen = [next(iterator) for _ in range(5)]
                store.delete(sample_ref(1, 1, 3))
                store.delete(sample_ref(1, 2, 150))
                put(store, [sample(1, 2, 500), sample(1, 3, 1)])
                put(store, [sample(1, 2, 10, seed=1)], OnDuplicate.REPLACE)
                seen += iterator
                assert len(seen) == len(set(seen)), "something was seen twice"
                always = {sample_ref(1, s, n) for s in (1, 2) for n in range(1, 201)}
                always -= {sample_ref(1, 1, 3), sample_ref(1, 2, 150)}
                assert always <= set(seen), "something that was always there was missed"

    def test_deleting_the_study_while_it_is_read_ends_the_reading_A74(self) -> None:
        with self.opened(archive(1, 2, 200)) as store:
            iterators = [store.instances(sample_ref(1).of_study), store.metadata(sample_ref(1).of_study)]
            searches = [iter(store.candidates(Query(level))) for level in Level]
            for iterator in [*iterators, *searches]:
                next(iterator)
            store.delete(sample_ref(1).of_study)
            for iterator in [*iterators, *searches]:
                assert len(list(iterator)) < 400
            assert [list(store.candidates(Query(level))) for level in Level] == [[], [], []]

    def test_a_suspended_iterator_holds_nobody_up(self) -> None:
        with self.opened(archive(1, 1, 300)) as store:
            iterators: list[Iterator[Any]] = [
                store.instances(sample_ref(1).of_study),
                iter(store.candidates(Query(Level.INSTANCE))),
            ]
            for iterator in iterators:
                next(iterator)
            done = threading.Event()

            def commit() -> None:
                put(store, [sample(2)])
                done.set()

            threading.Thread(target=commit, daemon=True).start()
            assert done.wait(20), "a commit waits for an iterator that nobody advances"
            del iterators

    # -- searches --

    def test_candidates_are_never_too_few_and_exact_when_they_say_so(self) -> None:
        samples = list(archive(12, 2, 2))
        samples += [
            sample(20, modality="MR", patient_id="P3"),
            sample(21, modality="mr", patient_name="Öztürk^Ünal=小野"),
        ]
        with self.opened(samples) as store:
            for level, key, wanted in _SEARCHES:
                found = store.candidates(Query(level, keys=(key,)))
                expected = [made for made in samples if wanted(made)]
                distinct = list(dict.fromkeys(_at(level, made.ref) for made in expected))
                got = [_of(one) for one in found]
                assert [one for one in got if one in set(distinct)] == distinct, (level, key)
                assert len(got) == len(set(got)), "a candidate occurs twice"
                if found.exact:
                    assert got == distinct, (level, key)

    def test_an_unknown_within_gives_none(self) -> None:
        with self.opened([sample(1)]) as store:
            unknown = (sample_ref(2).of_study, sample_ref(1, 2).of_series, sample_ref(2, 1).of_series)
            for within in (*unknown, SeriesRef(sample_ref(2).study, sample_ref(1).series)):
                level = Level.SERIES if isinstance(within, StudyRef) else Level.INSTANCE
                found = store.candidates(Query(level, within=within))
                assert (len(found), list(found), list(found.page(0, 5))) == (0, [], [])

    def test_within_is_exact_and_joins_other_keys(self) -> None:
        with self.opened(archive(6, 2, 2)) as store:
            by_class = MatchKey("00080016", "UI", AnyUID(frozenset({CT_IMAGE})))
            within = sample_ref(4, 2).of_series
            assert refs(store.candidates(Query(Level.INSTANCE, within=within, keys=(by_class,)))) == [
                sample_ref(4, 2, 1),
                sample_ref(4, 2, 2),
            ]
            by_patient = MatchKey("00100020", "LO", SingleValue("P4"))
            within_study = Query(Level.SERIES, within=sample_ref(4).of_study, keys=(by_patient,))
            assert [_of(one) for one in store.candidates(within_study)] == [
                sample_ref(4, 1).of_series,
                sample_ref(4, 2).of_series,
            ]

    def test_candidates_carry_the_levels_above_and_none_below(self) -> None:
        made = sample(1)
        with self.opened([made]) as store:
            (study,) = store.candidates(Query(Level.STUDY))
            assert (study.series, study.instance) == (None, None)
            (series,) = store.candidates(Query(Level.SERIES))
            assert series.study == study.study == store.study(made.ref.of_study)
            assert series.instance is None
            assert series.series is not None
            assert (series.series.ref, series.series.instances) == (made.ref.of_series, 1)
            assert orjson.loads(series.series.attributes) == orjson.loads(made.record.series)
            (instance,) = store.candidates(Query(Level.INSTANCE))
            assert instance[:2] == series[:2]
            assert instance.instance is not None
            assert instance.instance.ref == made.ref
            assert instance.instance.attributes == made.record.instance
            assert instance.instance.transfer_syntax_uid == made.record.transfer_syntax_uid
            assert instance.instance.metadata == b""
            (whole,) = store.candidates(Query(Level.INSTANCE, needs_metadata=True))
            assert whole.instance is not None
            assert whole.instance.metadata == made.record.metadata

    def test_the_index_follows_every_change_A74(self) -> None:
        by_modality = MatchKey("00080061", "CS", SingleValue("MR"))
        with self.opened([sample(1, 1, modality="CT")]) as store:
            assert found_by(store, Level.STUDY, by_modality) == []
            put(store, [sample(1, 2, modality="MR")])
            assert studies(found_by(store, Level.STUDY, by_modality)) == [sample_ref(1).study]
            store.delete(sample_ref(1, 2).of_series)
            assert found_by(store, Level.STUDY, by_modality) == []
            put(store, [sample(1, 2, modality="MR")])
            store.delete(sample_ref(1).of_study)
            assert found_by(store, Level.STUDY, by_modality) == []


def _at(level: Level, ref: InstanceRef) -> Ref:
    if level is Level.STUDY:
        return ref.of_study
    return ref.of_series if level is Level.SERIES else ref


def _of(found: Candidate) -> Ref:
    if found.instance is not None:
        return found.instance.ref
    return found.series.ref if found.series is not None else found.study.ref


def _study(made: Sample, tag: str) -> str:
    return _text(made.record.study, tag)


def _series(made: Sample, tag: str) -> str:
    return _text(made.record.series, tag)


def _text(text: bytes, tag: str) -> str:
    value = orjson.loads(text)[tag]["Value"][0]
    return str(value["Alphabetic"] if isinstance(value, dict) else value)


_SEARCHES: list[tuple[Level, MatchKey, Callable[[Sample], bool]]] = [
    (level, key, wanted)
    for key, wanted in (
        (MatchKey("00100020", "LO", SingleValue("P3")), lambda s: _study(s, "00100020") == "P3"),
        (MatchKey("00100020", "LO", Wildcard("P1*")), lambda s: _study(s, "00100020").startswith("P1")),
        (MatchKey("00100020", "LO", Wildcard("*2")), lambda s: _study(s, "00100020").endswith("2")),
        (
            MatchKey("00080020", "DA", Range("20000103", "20000106")),
            lambda s: "20000103" <= _study(s, "00080020") <= "20000106",
        ),
        (MatchKey("00080020", "DA", Range(None, "20000104")), lambda s: _study(s, "00080020") <= "20000104"),
        (MatchKey("00080020", "DA", Range("20000110", None)), lambda s: _study(s, "00080020") >= "20000110"),
        (MatchKey("00100010", "PN", Wildcard("Sample^Patient1*")), lambda s: "Patient1" in _study(s, "00100010")),
        (
            MatchKey("0020000D", "UI", AnyUID(frozenset({sample_ref(2).study, sample_ref(5).study}))),
            lambda s: s.ref.study in (sample_ref(2).study, sample_ref(5).study),
        ),
        (MatchKey("00100020", "LO", SingleValue("nobody")), lambda s: False),
        (MatchKey("00100030", "DA", EmptyValue()), lambda s: True),
    )
    for level in Level
] + [
    (Level.SERIES, MatchKey("00080060", "CS", SingleValue("CT")), lambda s: _series(s, "00080060") == "CT"),
    (
        Level.INSTANCE,
        MatchKey("00080018", "UI", AnyUID(frozenset({sample_ref(3, 1, 2).instance}))),
        lambda s: s.ref == sample_ref(3, 1, 2),
    ),
    (
        Level.SERIES,
        MatchKey("0020000E", "UI", AnyUID(frozenset({sample_ref(3, 1).series}))),
        lambda s: s.ref.of_series == sample_ref(3, 1).of_series,
    ),
]
