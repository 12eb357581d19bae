"""Tests of what exists in an instance store, and what is said of studies."""

# ruff: noqa: N802 - names carry the IDs of the attacks they stand against
from __future__ import annotations

from dataclasses import replace

import orjson

from dicomweb_core.errors import Gone, NotFound
from dicomweb_core.storage.instances import (
    OnDuplicate,
    Statistics,
)
from dicomweb_core.testing.blob_reader import raises
from dicomweb_core.testing.samples import (
    CT_IMAGE,
    MULTI_FRAME_GRAYSCALE_WORD,
    Sample,
    archive,
    sample,
    sample_ref,
)
from dicomweb_core.testing.store_calls import StoreMaker, found_by, missing, put
from dicomweb_core.values.queries import Level, MatchKey, Query, SingleValue
from dicomweb_core.values.resources import SeriesRef


class ExistenceConformance(StoreMaker):
    """Studies and series live as long as their instances; summaries follow."""

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
