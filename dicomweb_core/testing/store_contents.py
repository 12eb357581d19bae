"""Tests of what an instance store keeps: blobs, records, duplicates."""

# ruff: noqa: N802 - names carry the IDs of the attacks they stand against
from __future__ import annotations

from dataclasses import replace

from dicomweb_core.errors import Gone, NotFound, Superseded
from dicomweb_core.storage.instances import (
    OnDuplicate,
    Outcome,
    Pending,
    Statistics,
)
from dicomweb_core.testing.blob_reader import check_blob_reader, raises
from dicomweb_core.testing.samples import (
    MULTI_FRAME_GRAYSCALE_WORD,
    Sample,
    sample,
    sample_ref,
    with_ref,
)
from dicomweb_core.testing.store_calls import StoreMaker, put, staged
from dicomweb_core.values.queries import Level, Query
from dicomweb_core.values.resources import InstanceRef, Ref


class ContentConformance(StoreMaker):
    """Blobs and records come back as they were given; duplicates meet the policy."""

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

    def test_a_stored_instance_opens_its_own_bytes_or_none_A74(self) -> None:
        for rows in (4, 300):
            first, second = sample(rows=rows, columns=rows), sample(rows=rows, columns=rows, seed=1)
            with self.opened([first]) as store:
                old = store.get(first.ref)
                check_blob_reader(store.open(old), first.part10)
                check_blob_reader(store.open(old._replace(locator=b"")), first.part10)
                put(store, [second], OnDuplicate.REPLACE)
                for stored in (old, old._replace(locator=b"")):
                    assert raises(Superseded, lambda store=store, stored=stored: store.open(stored))  # type: ignore[misc]
                new = store.get(first.ref)
                check_blob_reader(store.open(new), second.part10)
                store.delete(first.ref)
                assert raises(Gone, lambda store=store, stored=new: store.open(stored))  # type: ignore[misc]

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

    def test_the_version_of_what_contains_a_change_is_another_and_never_comes_again_A39(self) -> None:
        made = sample()
        levels: tuple[Ref, ...] = (made.ref, made.ref.of_series, made.ref.of_study)
        with self.opened() as store:
            seen: dict[bytes, int] = {}

            def changed(step: int, expected: tuple[bool, bool, bool]) -> None:
                for level, new in zip(levels, expected, strict=True):
                    version = store.version(level)
                    assert 0 < len(version) <= 64
                    assert version == store.version(level)
                    assert not new or seen.get(version, step) == step, f"{level} at step {step}"
                    seen[version] = step

            put(store, [made])
            changed(1, (True, True, True))
            put(store, [sample(1, 1, 2)])
            changed(2, (False, True, True))
            put(store, [sample(seed=1)], OnDuplicate.REPLACE)
            changed(3, (True, True, True))
            put(store, [sample(1, 2, 1)])
            changed(4, (False, False, True))
            store.delete(sample_ref(1, 1, 2))
            changed(5, (False, True, True))
            store.delete(made.ref.of_study)
            put(store, [made])
            changed(6, (True, True, True))

    def test_what_changes_nothing_leaves_the_version_and_others_are_not_touched_A39(self) -> None:
        made, other = sample(), sample(2)
        with self.opened([made, other]) as store:
            refs: tuple[Ref, ...] = (made.ref, made.ref.of_study, other.ref, other.ref.of_study)
            before = [store.version(ref) for ref in refs]
            assert put(store, [made, sample(seed=1)]) == [Outcome.ALREADY_STORED, Outcome.DUPLICATE]
            put(store, [sample(2, seed=1)], OnDuplicate.REPLACE)
            assert [store.version(made.ref), store.version(made.ref.of_study)] == before[:2]
            assert not {store.version(other.ref), store.version(other.ref.of_study)} & set(before)

    def test_versions_of_two_stores_are_different_A39(self) -> None:
        with self.opened([sample()]) as first:
            of_first = {first.version(sample_ref()), first.version(sample_ref().of_study)}
        with self.opened([sample()]) as second:
            assert not of_first & {second.version(sample_ref()), second.version(sample_ref().of_study)}

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
