"""Proof that an instance store keeps its promise: inherit `InstanceStoreConformance` and say how to make a store.

    class TestMyStore(InstanceStoreConformance):
        def make_store(self):
            return MyStore(...)

With pytest that is all. Without, `failures(TestMyStore)` runs everything and says what failed.
"""

# ruff: noqa: N802 - names carry the IDs of the attacks they stand against
from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, TypeVar

import orjson

from dicomweb_core.errors import Gone, NotFound
from dicomweb_core.rules.entities import attributes_of
from dicomweb_core.rules.matching import matches
from dicomweb_core.storage.instances import (
    Candidate,
    InstanceStore,
    OnDuplicate,
    Outcome,
    Pending,
    StagedBlob,
    Statistics,
)
from dicomweb_core.testing.blob_reader import check_blob_reader, raises
from dicomweb_core.testing.samples import (
    CT_IMAGE,
    MULTI_FRAME_GRAYSCALE_WORD,
    Sample,
    archive,
    sample,
    sample_ref,
    with_ref,
)
from dicomweb_core.values.queries import AnyUID, EmptyValue, Level, MatchKey, Query, Range, SingleValue, Wildcard
from dicomweb_core.values.resources import InstanceRef, Ref, SeriesRef, StudyRef

T = TypeVar("T")


class InstanceStoreConformance:
    """Every sentence of `storage.instances` as tests."""

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

    # -- blobs --

    def test_what_was_written_can_be_read_when_sealed_and_when_committed(self) -> None:
        for made in (sample(1), sample(2, rows=200, columns=200), sample(3, rows=256, columns=256, frames=3)):
            with self.opened() as store:
                blob = store.stage()
                for at in range(0, len(made.part10), 10_007):
                    blob.write(memoryview(made.part10)[at : at + 10_007])
                check_blob_reader(blob.seal(), made.part10)
                assert store.commit([Pending(blob, made.record)], on_duplicate=OnDuplicate.KEEP) == [Outcome.STORED]
                check_blob_reader(store.open(made.ref), made.part10)

    def test_chunks_of_any_size_make_the_same_blob(self) -> None:
        content = sample(rows=300, columns=301).part10
        for chunk in (1_000, 65_535, 65_536, 65_537, 131_072, len(content)):
            with self.opened() as store:
                blob = store.stage()
                for at in range(0, len(content), chunk):
                    lent = bytearray(content[at : at + chunk])
                    blob.write(lent)
                    lent[:] = bytes(len(lent))  # the buffer is the caller's again
                blob.write(b"")
                check_blob_reader(blob.seal(), content)
                blob.discard()

    def test_blobs_around_a_block_in_size_come_back(self) -> None:
        for size in (0, 1, 65_535, 65_536, 65_537, 131_071, 131_072, 131_073):
            with self.opened() as store:
                made = sample()
                content = (b"\x00\x01\x02" * 50_000)[:size]
                blob = store.stage()
                blob.write(content)
                check_blob_reader(blob.seal(), content)
                record = replace(made.record, size=size)
                assert store.commit([Pending(blob, record)], on_duplicate=OnDuplicate.KEEP) == [Outcome.STORED]
                check_blob_reader(store.open(made.ref), content)
                assert store.get(made.ref).size == size

    def test_nothing_is_visible_before_the_commit(self) -> None:
        with self.opened() as store:
            made = sample()
            blob = staged(store, made)
            assert store.statistics() == Statistics(0, 0, 0, 0)
            assert raises(NotFound, lambda: store.get(made.ref))
            assert list(store.candidates(Query(Level.STUDY))) == []
            blob.discard()
            blob.discard()
            assert store.statistics() == Statistics(0, 0, 0, 0)

    def test_a_blob_is_written_until_sealed_and_committed_once(self) -> None:
        with self.opened() as store:
            made, blob = sample(), store.stage()
            pending = [Pending(blob, made.record)]
            assert raises(ValueError, lambda: store.commit(pending, on_duplicate=OnDuplicate.KEEP)), "not sealed"
            blob.write(made.part10)
            blob.seal().close()
            assert raises(ValueError, lambda: blob.write(b"more"))
            assert store.commit(pending, on_duplicate=OnDuplicate.KEEP) == [Outcome.STORED]
            assert raises(ValueError, lambda: store.commit(pending, on_duplicate=OnDuplicate.KEEP)), "used before"
            blob.discard()
            check_blob_reader(store.open(made.ref), made.part10)

    def test_an_open_reader_outlives_deletion_and_replacement_A74(self) -> None:
        for rows in (4, 300):
            first, second = sample(rows=rows, columns=rows), sample(rows=rows, columns=rows, seed=1)
            with self.opened([first]) as store:
                of_first = store.open(first.ref)
                put(store, [second], OnDuplicate.REPLACE)
                of_second = store.open(first.ref)
                store.delete(first.ref.of_study)
                check_blob_reader(of_first, first.part10)
                check_blob_reader(of_second, second.part10)

    # -- records --

    def test_the_record_comes_back(self) -> None:
        made = sample(frames=5)
        with self.opened([made]) as store:
            stored = store.get(made.ref)
            assert stored.ref == made.ref
            assert stored.sop_class_uid == MULTI_FRAME_GRAYSCALE_WORD
            assert stored.transfer_syntax_uid == made.record.transfer_syntax_uid
            assert stored.size == len(made.part10)
            assert stored.packed_layout == made.record.layout
            frames = stored.layout.frames
            assert frames is not None
            assert frames.count == 5
            assert list(store.metadata(made.ref)) == [(made.ref, made.record.metadata)]
            assert list(store.instances(made.ref)) == [stored]

    def test_long_texts_come_back(self) -> None:
        made = sample()
        metadata, layout = b'{"' + b"x" * 3_000_000 + b'":{}}', made.record.layout + bytes(300_000)
        made = Sample(made.part10, replace(made.record, metadata=metadata, layout=layout))
        with self.opened([made]) as store:
            assert list(store.metadata(made.ref.of_study)) == [(made.ref, metadata)]
            assert store.get(made.ref).packed_layout == layout

    def test_versions_change_with_the_bytes_and_never_come_again(self) -> None:
        seen = set()
        with self.opened() as store:
            for seed in range(4):
                put(store, [sample(seed=seed)], OnDuplicate.REPLACE)
                seen.add(store.get(sample_ref()).version)
            kept = store.get(sample_ref()).version
            put(store, [sample(seed=3)], OnDuplicate.REPLACE)
            assert store.get(sample_ref()).version == kept, "the same bytes have another version"
            store.delete(sample_ref())
            put(store, [sample(seed=0)])
            seen.add(store.get(sample_ref()).version)
        assert len(seen) == 5, "a version was used again"

    # -- duplicates (A16) --

    def test_identical_bytes_succeed_under_every_policy_A16(self) -> None:
        for rows in (4, 300):
            made = sample(rows=rows, columns=rows)
            with self.opened([made]) as store:
                for policy in OnDuplicate:
                    assert put(store, [made], policy) == [Outcome.ALREADY_STORED]
                assert store.statistics() == Statistics(1, 1, 1, len(made.part10))

    def test_other_bytes_meet_the_policy_A16(self) -> None:
        for rows in (4, 300):
            first, second = sample(rows=rows, columns=rows), sample(rows=rows, columns=rows, seed=9)
            for policy, outcome, stays in (
                (OnDuplicate.KEEP, Outcome.DUPLICATE, first),
                (OnDuplicate.IGNORE, Outcome.IGNORED, first),
                (OnDuplicate.REPLACE, Outcome.REPLACED, second),
            ):
                with self.opened([first]) as store:
                    assert put(store, [second], policy) == [outcome], policy
                    check_blob_reader(store.open(first.ref), stays.part10)
                    assert list(store.metadata(first.ref)) == [(first.ref, stays.record.metadata)]
                    assert store.statistics() == Statistics(1, 1, 1, len(stays.part10))

    def test_one_changed_byte_is_other_bytes_A16(self) -> None:
        made = sample(rows=300, columns=300)
        for at in (0, 70_000, len(made.part10) - 1):
            changed = bytearray(made.part10)
            changed[at] ^= 0x10
            with self.opened([made]) as store:
                assert put(store, [Sample(bytes(changed), made.record)]) == [Outcome.DUPLICATE]

    def test_a_uid_elsewhere_is_refused_under_every_policy_A16(self) -> None:
        made = sample()
        others = (
            InstanceRef(made.ref.study, made.ref.series + ".7", made.ref.instance),
            InstanceRef(made.ref.study + ".7", made.ref.series, made.ref.instance),
        )
        for policy in OnDuplicate:
            for ref in others:
                with self.opened([made]) as store:
                    assert put(store, [with_ref(made, ref)], policy) == [Outcome.ELSEWHERE]
                    assert store.statistics().instances == 1
                    assert raises(NotFound, lambda store=store, ref=ref: store.get(ref))  # type: ignore[misc]
                    assert raises(NotFound, lambda store=store, ref=ref: store.open(ref))  # type: ignore[misc]

    def test_one_series_uid_in_two_studies_is_two_series_A16(self) -> None:
        here, there = sample(1, 1, 1), sample(1, 1, 2)
        there = with_ref(there, InstanceRef(there.ref.study + ".7", there.ref.series, there.ref.instance))
        with self.opened([here, there]) as store:
            assert store.statistics()[:3] == (2, 2, 2)
            assert [stored.ref for stored in store.instances(here.ref.of_series)] == [here.ref]
            assert [stored.ref for stored in store.instances(there.ref.of_series)] == [there.ref]
            assert store.delete(here.ref.of_series) == 1
            assert [stored.ref for stored in store.instances(there.ref.of_series)] == [there.ref]

    def test_within_one_commit_the_second_meets_the_first(self) -> None:
        for policy, outcome in (
            (OnDuplicate.KEEP, Outcome.DUPLICATE),
            (OnDuplicate.IGNORE, Outcome.IGNORED),
            (OnDuplicate.REPLACE, Outcome.REPLACED),
        ):
            with self.opened() as store:
                first, second = sample(rows=300, columns=300), sample(rows=300, columns=300, seed=1)
                elsewhere = with_ref(sample(), sample_ref(5, 5, 5)._replace(instance=first.ref.instance))
                outcomes = put(store, [first, first, second, elsewhere], policy)
                assert outcomes == [Outcome.STORED, Outcome.ALREADY_STORED, outcome, Outcome.ELSEWHERE]
                stays = second if policy is OnDuplicate.REPLACE else first
                check_blob_reader(store.open(first.ref), stays.part10)
                assert store.statistics() == Statistics(1, 1, 1, len(stays.part10))

    def test_refused_ones_do_not_stop_the_others(self) -> None:
        with self.opened([sample(1, seed=1)]) as store:
            outcomes = put(store, [sample(2), sample(1), sample(3)])
            assert outcomes == [Outcome.STORED, Outcome.DUPLICATE, Outcome.STORED]
            assert store.statistics().studies == 3

    def test_a_commit_of_nothing(self) -> None:
        with self.opened() as store:
            assert store.commit([], on_duplicate=OnDuplicate.KEEP) == []

    # -- what is there and what is not --

    def test_what_was_never_there_is_not_found(self) -> None:
        with self.opened([sample(1, 1, 1)]) as store:
            for ref in (sample_ref(2, 1, 1), sample_ref(1, 2, 1), sample_ref(1, 1, 2)):
                assert missing(store, ref) is NotFound
            for within in (SeriesRef(sample_ref(2).study, sample_ref(1).series), sample_ref(1, 2).of_series):
                assert missing(store, within) is NotFound
            assert missing(store, sample_ref(2).of_study) is NotFound

    def test_what_was_deleted_is_gone_until_it_is_stored_again(self) -> None:
        for ref in (sample_ref(), sample_ref().of_series, sample_ref().of_study):
            with self.opened([sample()]) as store:
                assert store.delete(ref) == 1
                for level in (sample_ref(), sample_ref().of_series, sample_ref().of_study):
                    assert missing(store, level) is Gone, f"{level} after deletion of {ref}"
                assert raises(Gone, lambda store=store, ref=ref: store.delete(ref))  # type: ignore[misc]
                assert missing(store, sample_ref(1, 1, 2)) is NotFound
                put(store, [sample()])
                assert missing(store, sample_ref()) is None
                assert missing(store, sample_ref().of_series) is None
                assert missing(store, sample_ref().of_study) is None

    def test_a_series_and_a_study_live_as_long_as_an_instance_of_theirs(self) -> None:
        with self.opened(archive(1, 2, 2)) as store:
            store.delete(sample_ref(1, 1, 1))
            assert missing(store, sample_ref(1, 1, 1).of_series) is None
            store.delete(sample_ref(1, 1, 2))
            assert missing(store, sample_ref(1, 1, 1).of_series) is Gone
            assert missing(store, sample_ref(1).of_study) is None
            assert store.study(sample_ref(1).of_study).series == 1
            assert store.delete(sample_ref(1, 2, 1).of_series) == 2
            assert missing(store, sample_ref(1).of_study) is Gone
            assert store.statistics() == Statistics(0, 0, 0, 0)
            assert list(store.candidates(Query(Level.STUDY))) == []

    def test_delete_says_how_many_and_leaves_the_rest(self) -> None:
        with self.opened(archive(2, 2, 3)) as store:
            assert store.delete(sample_ref(1).of_study) == 6
            assert store.statistics()[:3] == (1, 2, 6)
            assert {found.study.ref.study for found in store.candidates(Query(Level.INSTANCE))} == {sample_ref(2).study}

    def test_statistics(self) -> None:
        samples = list(archive(3, 2, 2))
        with self.opened(samples) as store:
            assert store.statistics() == Statistics(3, 6, 12, sum(len(made.part10) for made in samples))

    # -- summaries --

    def test_a_study_is_summarised(self) -> None:
        samples = [
            sample(1, 1, 1, modality="PT"),
            sample(1, 2, 1, modality="CT"),
            sample(1, 2, 2, modality="CT", frames=2),
        ]
        with self.opened(samples) as store:
            summary = store.study(sample_ref(1).of_study)
            assert summary.ref == sample_ref(1).of_study
            assert orjson.loads(summary.attributes) == orjson.loads(samples[0].record.study)
            assert (summary.series, summary.instances) == (2, 3)
            assert summary.modalities == ("CT", "PT")
            assert summary.sop_classes == (CT_IMAGE, MULTI_FRAME_GRAYSCALE_WORD)
            store.delete(sample_ref(1, 2, 2))
            assert store.study(sample_ref(1).of_study).sop_classes == (CT_IMAGE,)
            store.delete(sample_ref(1, 2).of_series)
            assert store.study(sample_ref(1).of_study)[2:5] == (1, 1, ("PT",))

    def test_the_first_to_say_something_of_a_study_is_right_A17(self) -> None:
        first = sample(1, 1, 1, patient_name="First")
        second = sample(1, 1, 2, patient_name="Second")
        fuller = replace(second.record, study=second.record.study[:-1] + b',"00321060":{"vr":"LO","Value":["Head"]}}')
        with self.opened([first]) as store:
            put(store, [Sample(second.part10, fuller)])
            attributes = orjson.loads(store.study(first.ref.of_study).attributes)
            assert attributes["00100010"]["Value"] == [{"Alphabetic": "First"}]
            assert attributes["00321060"]["Value"] == ["Head"]
            store.delete(second.ref)
            assert orjson.loads(store.study(first.ref.of_study).attributes) == attributes

    def test_replacing_the_only_instance_renews_its_study_and_series(self) -> None:
        first = sample(patient_name="Wrong", modality="OT")
        second = sample(patient_name="Right", modality="MR", frames=2)
        with self.opened([first]) as store:
            put(store, [second], OnDuplicate.REPLACE)
            (found,) = store.candidates(Query(Level.INSTANCE))
            assert orjson.loads(found.study.attributes) == orjson.loads(second.record.study)
            assert found.series is not None
            assert orjson.loads(found.series.attributes) == orjson.loads(second.record.series)
            assert found.instance is not None
            assert found.instance.attributes == second.record.instance
            assert found.study.modalities == ("MR",)
            assert found.study.sop_classes == (MULTI_FRAME_GRAYSCALE_WORD,)
            by_name = found_by(store, Level.STUDY, MatchKey("00100010", "PN", SingleValue("Right")))
            assert [one.study.ref for one in by_name] == [first.ref.of_study]
            assert found_by(store, Level.STUDY, MatchKey("00100010", "PN", SingleValue("Wrong"))) == []

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

    # -- many at once --

    def test_of_sixteen_storing_the_same_exactly_one_stores_A16(self) -> None:
        for rows in (4, 300):
            with self.opened() as store:
                made = sample(rows=rows, columns=rows)
                outcomes = at_once(16, lambda _, made=made: put(store, [made])[0])  # type: ignore[misc]
                assert Counter(outcomes) == {Outcome.STORED: 1, Outcome.ALREADY_STORED: 15}
                assert store.statistics() == Statistics(1, 1, 1, len(made.part10))
                check_blob_reader(store.open(made.ref), made.part10)

    def test_of_sixteen_storing_other_bytes_exactly_one_stores_A16(self) -> None:
        with self.opened() as store:
            outcomes = at_once(16, lambda n: put(store, [sample(seed=n)])[0])
            assert Counter(outcomes) == {Outcome.STORED: 1, Outcome.DUPLICATE: 15}
            winner = sample(seed=outcomes.index(Outcome.STORED))
            check_blob_reader(store.open(winner.ref), winner.part10)

    def test_of_sixteen_deleting_exactly_one_deletes_A74(self) -> None:
        with self.opened(archive(1, 2, 4)) as store:

            def delete(_: int) -> int:
                try:
                    return store.delete(sample_ref(1).of_study)
                except NotFound:
                    return 0

            assert sorted(at_once(16, delete)) == [0] * 15 + [8]

    def test_many_threads_store_different_instances_of_one_study(self) -> None:
        with self.opened() as store:
            at_once(8, lambda n: [put(store, [sample(1, n % 3 + 1, n * 10 + one)]) for one in range(6)])
            assert store.statistics()[:3] == (1, 3, 48)
            assert store.study(sample_ref(1).of_study).instances == 48

    def test_storing_reading_and_deleting_at_once_A74(self) -> None:
        with self.opened(archive(1, 1, 20)) as store:

            def act(n: int) -> None:
                for turn in range(8):
                    with suppress(NotFound):
                        if n % 3 == 0:
                            put(
                                store,
                                [sample(1, 1, turn, rows=200 if turn % 2 else 4, columns=200)],
                                OnDuplicate.REPLACE,
                            )
                        elif n % 3 == 1:
                            store.delete(sample_ref(1, 1, turn))
                        else:
                            for stored in store.instances(sample_ref(1).of_study):
                                with suppress(NotFound):
                                    reader = store.open(stored.ref)
                                    try:
                                        assert len(reader.read(0, reader.size)) == reader.size
                                    finally:
                                        reader.close()

            at_once(6, act)
            assert store.statistics().instances == len(refs(store.candidates(Query(Level.INSTANCE))))

    # -- lifetime --

    def test_close_is_idempotent_and_what_was_stored_stays(self) -> None:
        store = self.make_store()
        samples = [*archive(2, 1, 2), sample(3, rows=300, columns=300)]
        put(store, samples)
        store.delete(sample_ref(2, 1, 2))
        store.close()
        store.close()
        again = self.reopen_store(store)
        if again is None:
            return
        try:
            assert missing(again, sample_ref(2, 1, 2)) is Gone
            for made in samples:
                if made.ref != sample_ref(2, 1, 2):
                    check_blob_reader(again.open(made.ref), made.part10)
            put(again, [sample(4)])
            order = [sample_ref(study).study for study in (1, 2, 3, 4)]
            assert studies(again.candidates(Query(Level.STUDY))) == order
            assert list(again.verify()) == []
        finally:
            again.close()


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


def failures(kit: type[InstanceStoreConformance], *names: str) -> dict[str, Exception]:
    """Runs the tests of the kit with these names, or all: what failed, by name."""
    failed: dict[str, Exception] = {}
    for name in names or sorted(dir(kit)):
        if name.startswith("test_"):
            try:
                getattr(kit(), name)()
            except Exception as error:
                failed[name] = error
    return failed


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
