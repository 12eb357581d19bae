"""Waveforms: samples as quantities, and plots that show them."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lxml import etree
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.waveforms import multiplex_array

from dicomweb_core.codecs.part10_reader import BytesSource, read_part10
from dicomweb_core.errors import CannotRender, DICOMwebError
from dicomweb_core.rendering.ecg import lead_of
from dicomweb_core.rendering.lookup_tables import Bulk
from dicomweb_core.rendering.sheets import Line, Text
from dicomweb_core.rendering.traces import envelope
from dicomweb_core.rendering.waveform import render_waveform, render_waveform_svg, waveform_sheet
from dicomweb_core.rendering.waveform_samples import multiplex_groups
from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.limits import Limits
from tests.rendering.gray_frames import no_bulk
from tests.rendering.hostile import broken_objects

LIMITS = Limits()
CLASSES = "1.2.840.10008.5.1.4.1.1.9."
ECG, HEMODYNAMIC, AUDIO, EEG = (CLASSES + end for end in ("1.2", "2.1", "4.2", "7.1"))
SVG = "{http://www.w3.org/2000/svg}"


def real_ecg() -> tuple[Attributes, Bulk, Path]:
    path = Path(str(get_testdata_file("waveform_ecg.dcm")))
    content = path.read_bytes()
    instance = read_part10(BytesSource(content), LIMITS)

    def bulk(place: str) -> bytes:
        value = instance.layout.bulk_value(place)
        assert value is not None
        return content[value.offset : value.offset + value.length]

    return instance.attributes, bulk, path


def channel(label: str = "", unit: str = "", sensitivity: float | None = 1.0, **more: float) -> dict[str, Any]:
    found: dict[str, Any] = {"003A0203": {"vr": "SH", "Value": [label]}}
    if sensitivity is not None:
        found["003A0210"] = {"vr": "DS", "Value": [sensitivity]}
    if unit:
        found["003A0211"] = {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": [unit]}}]}
    tags = {"correction": "003A0212", "baseline": "003A0213", "time_skew": "003A0214", "sample_skew": "003A0215"}
    return found | {tags[name]: {"vr": "DS", "Value": [value]} for name, value in more.items()}


def group(
    samples: Any, channels: list[dict[str, Any]], *, frequency: float = 100, kind: str = "SS", **more: Any
) -> dict[str, Any]:
    samples = np.asarray(samples)
    samples = samples.reshape(-1, len(channels))
    return {
        "003A0004": {"vr": "CS", "Value": [more.get("originality", "ORIGINAL")]},
        "003A0005": {"vr": "US", "Value": [len(channels)]},
        "003A0010": {"vr": "UL", "Value": [len(samples)]},
        "003A001A": {"vr": "DS", "Value": [frequency]},
        "003A0200": {"vr": "SQ", "Value": channels},
        "00181068": {"vr": "DS", "Value": [more.get("offset", 0)]},
        "54001004": {"vr": "US", "Value": [samples.dtype.itemsize * 8]},
        "54001006": {"vr": "CS", "Value": [kind]},
        "54001010": {"vr": "OW", "InlineBinary": base64.b64encode(samples.tobytes()).decode()},
    }


def waveform(sop_class: str, *groups: dict[str, Any]) -> Attributes:
    return {"00080016": {"vr": "UI", "Value": [sop_class]}, "54000100": {"vr": "SQ", "Value": list(groups)}}


def test_quantities_of_a_real_ecg_are_those_of_pydicom() -> None:
    attributes, bulk, path = real_ecg()
    dataset = dcmread(path)
    groups = multiplex_groups(attributes, bulk, LIMITS)
    assert [(found.original, found.duration) for found in groups] == [(True, 10.0), (False, 1.2)]
    for index, found in enumerate(groups):
        expected = multiplex_array(dataset, index, as_raw=False)
        assert len(found.channels) == 12
        for place in found.channels:
            values = found.quantities(place, 0, len(found.samples))
            assert np.allclose(values, expected[:, place.index], rtol=1e-12, atol=1e-12)
            assert place.unit == "uV"
    leads = [lead_of(place) for place in groups[0].channels]
    assert leads == ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"]


@pytest.mark.parametrize(
    ("kind", "dtype", "values"),
    [
        ("SB", "i1", [-128, 127]),
        ("UB", "u1", [0, 255]),
        ("SS", "<i2", [-32768, 32767]),
        ("US", "<u2", [0, 65535]),
        ("SL", "<i4", [-(2**31), 2**31 - 1]),
        ("UL", "<u4", [0, 2**32 - 1]),
        ("SV", "<i8", [-(2**40), 2**40]),
        ("UV", "<u8", [0, 2**40]),
    ],
)
def test_every_kind_of_integer_is_read(kind: str, dtype: str, values: list[int]) -> None:
    (found,) = multiplex_groups(waveform(ECG, group(np.array(values, dtype), [channel()], kind=kind)), no_bulk, LIMITS)
    assert found.quantities(found.channels[0], 0, 2).tolist() == values


@pytest.mark.parametrize(
    ("kind", "codes", "values"),
    [
        # ITU-T G.711: ends, smallest steps and one in between, at 16 bits.
        ("MB", [0x00, 0x80, 0x7F, 0xFF, 0x10], [-32124, 32124, 0, 0, -15996]),
        ("AB", [0x2A, 0xAA, 0x55, 0xD5, 0x00], [-32256, 32256, -8, 8, -5504]),
    ],
)
def test_companded_audio_is_expanded(kind: str, codes: list[int], values: list[int]) -> None:
    (found,) = multiplex_groups(waveform(AUDIO, group(np.array(codes, "u1"), [channel()], kind=kind)), no_bulk, LIMITS)
    assert found.quantities(found.channels[0], 0, len(codes)).tolist() == values


def test_sensitivity_correction_and_baseline_make_the_quantity() -> None:
    one = channel("a", "mV", 0.5, correction=4.0, baseline=-3.0)
    (found,) = multiplex_groups(waveform(ECG, group(np.array([[1], [2]], "<i2"), [one])), no_bulk, LIMITS)
    assert found.quantities(found.channels[0], 0, 2).tolist() == [-1.0, 1.0]


def test_skew_is_in_seconds_or_samples() -> None:
    channels = [channel(time_skew=0.25), channel(sample_skew=5)]
    (found,) = multiplex_groups(waveform(ECG, group(np.zeros((2, 2), "<i2"), channels)), no_bulk, LIMITS)
    assert [place.delay for place in found.channels] == [0.25, 0.05]


def test_skewed_channel_is_drawn_where_it_was_sampled() -> None:
    channels = [channel("a", "mm[Hg]"), channel("b", "mm[Hg]", time_skew=0.1)]
    samples = np.arange(200, dtype="<i2").reshape(100, 2)
    sheet = waveform_sheet(waveform(HEMODYNAMIC, group(samples, channels)), bulk=no_bulk, limits=LIMITS)
    first, second = [
        mark.points[:, 0] for mark in sheet.marks if isinstance(mark, Line) and mark.color == (20, 70, 140)
    ]
    assert second[0] - first[0] == pytest.approx((first[-1] - first[0]) / 0.99 * 0.1)


def test_padding_is_a_gap_in_the_trace() -> None:
    samples = np.array([0, 10, -99, 20, 30, 20], "<i2")
    one = group(samples, [channel("P", "mm[Hg]")])
    one["5400100A"] = {"vr": "OW", "InlineBinary": base64.b64encode(np.array([-99], "<i2").tobytes()).decode()}
    sheet = waveform_sheet(waveform(HEMODYNAMIC, one), bulk=no_bulk, limits=LIMITS)
    traces = [mark for mark in sheet.marks if isinstance(mark, Line) and mark.color == (20, 70, 140)]
    assert [len(trace.points) for trace in traces] == [2, 3]
    assert all(np.isfinite(trace.points).all() for trace in traces)


def test_envelope_keeps_what_stands_out() -> None:
    samples = np.random.default_rng(3).integers(-50, 50, 100_000).astype("<i2")
    samples[77_777], samples[12_345] = 3000, -3000
    (found,) = multiplex_groups(waveform(AUDIO, group(samples, [channel()])), no_bulk, LIMITS)
    indexes, values = envelope(found, found.channels[0], 0, len(samples), 400)
    assert len(values) == 800
    assert (values.max(), values.min()) == (3000, -3000)
    assert abs(indexes[values.argmax()] - 77_777) <= 250
    assert abs(indexes[values.argmin()] - 12_345) <= 250
    assert (np.diff(indexes) > 0).all()


def texts(attributes: Attributes, bulk: Bulk = no_bulk) -> list[str]:
    return [mark.text for mark in waveform_sheet(attributes, bulk=bulk, limits=LIMITS).marks if isinstance(mark, Text)]


def test_twelve_leads_of_ten_seconds_have_the_usual_arrangement() -> None:
    attributes, bulk, _ = real_ecg()
    found = texts(attributes, bulk)
    assert found[:-1] == ["I", "aVR", "V1", "V4", "II", "aVL", "V2", "V5", "III", "aVF", "V3", "V6", "II"]
    assert found[-1] == "25 mm/s; 10 mm/mV; filter 0.05 to 300 Hz; sampled at 1000 Hz; 0 to 10 s"


def test_trace_is_true_to_scale() -> None:
    """1 mV at 1 s, lead II of a recording of one lead: 25 mm from the begin and 10 mm up."""
    samples = np.zeros(1000, "<i2")
    samples[100] = 1000
    sheet = waveform_sheet(waveform(ECG, group(samples, [channel("II", "uV")])), bulk=no_bulk, limits=LIMITS)
    (trace,) = [mark.points for mark in sheet.marks if isinstance(mark, Line) and len(mark.points) > 500]
    peak = trace[trace[:, 1].argmin()]
    assert peak[0] - trace[0, 0] == pytest.approx(25.0)
    assert np.median(trace[:, 1]) - peak[1] == pytest.approx(10.0)


@pytest.mark.parametrize(("millivolts", "gain"), [(2.0, 10.0), (3.0, 5.0), (6.0, 2.5), (300.0, 0.625)])
def test_gain_is_halved_until_the_trace_fits_and_is_written_below(millivolts: float, gain: float) -> None:
    samples = (np.sin(np.arange(1000) / 20) * millivolts * 100).astype("<i2")
    attributes = waveform(ECG, group(samples, [channel("II", "uV", 10.0)]))
    assert f"{gain:g} mm/mV" in texts(attributes)[-1]


def test_offset_of_an_electrode_is_taken_away() -> None:
    samples = np.full(1000, 20_000, "<i2")
    sheet = waveform_sheet(waveform(ECG, group(samples, [channel("II", "uV")])), bulk=no_bulk, limits=LIMITS)
    assert "10 mm/mV" in sheet.description


def test_long_recordings_say_what_is_shown_of_them() -> None:
    attributes = waveform(CLASSES + "1.3", group(np.zeros(100_000, "<i2"), [channel("II", "uV")]))
    assert texts(attributes)[-1].endswith("0 to 10 s of 1000 s")


def test_short_recordings_of_twelve_leads_have_a_row_each() -> None:
    attributes, bulk, _ = real_ecg()
    attributes = {**attributes, "54000100": {"vr": "SQ", "Value": attributes["54000100"]["Value"][1:]}}
    attributes["54000100"]["Value"] = [
        {**item, "54001010": {"vr": "OW", "InlineBinary": base64.b64encode(bulk("54000100/1/54001010")).decode()}}
        for item in attributes["54000100"]["Value"]
    ]
    found = texts(attributes)
    assert found[:-1] == ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"]
    assert found[-1].endswith("0 to 1.2 s")


def test_pressures_have_an_axis_and_voltages_a_common_scale() -> None:
    time = np.arange(1000) / 100
    pressures = np.stack([100 + 20 * np.sin(time), 5 + 3 * np.sin(time)], 1).astype("<i2")
    voltages = np.stack([100 * np.sin(time * 9), 1000 * np.sin(time * 9)], 1).astype("<i2")
    attributes = waveform(
        HEMODYNAMIC,
        group(pressures, [channel("AO", "mm[Hg]"), channel("RA", "mm[Hg]")]),
        group(voltages, [channel("x", "uV"), channel("y", "uV")]),
    )
    sheet = waveform_sheet(attributes, bulk=no_bulk, limits=LIMITS)
    found = [mark.text for mark in sheet.marks if isinstance(mark, Text)]
    assert {"AO", "RA", "120 mmHg", "80", "8 mmHg", "0"} & set(found) >= {"AO", "RA", "120 mmHg", "80"}
    traces = [mark.points[:, 1] for mark in sheet.marks if isinstance(mark, Line) and mark.color == (20, 70, 140)]
    heights = [float(np.ptp(trace)) for trace in traces]
    assert heights[3] == pytest.approx(10 * heights[2], rel=0.05)
    assert heights[1] > 0.4 * heights[3]
    assert "µV/mm" in found[-1]


def test_groups_share_one_time_axis() -> None:
    samples = np.arange(100, dtype="<i2")
    attributes = waveform(
        HEMODYNAMIC,
        group(samples, [channel("a", "mm[Hg]")]),
        group(np.repeat(samples, 2), [channel("b", "mm[Hg]")], frequency=200, offset=500),
    )
    sheet = waveform_sheet(attributes, bulk=no_bulk, limits=LIMITS)
    first, second = [
        mark.points[:, 0] for mark in sheet.marks if isinstance(mark, Line) and mark.color == (20, 70, 140)
    ]
    wide = float(first[-1] - first[0]) / 0.99
    assert second[0] - first[0] == pytest.approx(wide / 2, rel=0.01)
    assert "sampled at 100 and 200 Hz" in sheet.description


def test_svg_is_named_bounded_and_runs_nothing_A27() -> None:
    samples = np.random.default_rng(1).integers(-999, 999, (200_000, 3)).astype("<i2")
    hostile = "</text><script>alert(1)</script>&\x00\x1b\u202e"
    channels = [channel(hostile, "uV"), channel('" onload="x', "<svg>"), channel("Lead\x08", "javascript:")]
    document = render_waveform_svg(waveform(AUDIO, group(samples, channels)), bulk=no_bulk, limits=LIMITS)
    assert len(document) < 400_000
    root = etree.fromstring(document)
    names = {element.tag for element in root.iter()}
    assert names <= {SVG + name for name in ("svg", "title", "desc", "rect", "path", "polyline", "text")}
    assert not any(name.startswith("on") or "href" in name for element in root.iter() for name in element.attrib)
    assert root.findtext(f"{SVG}title") == "Audio"
    assert "0 to 2000 s" in (root.findtext(f"{SVG}desc") or "")
    assert "\u202e" not in document.decode()


def test_svg_of_the_real_ecg_has_its_size_on_paper() -> None:
    attributes, bulk, _ = real_ecg()
    root = etree.fromstring(render_waveform_svg(attributes, bulk=bulk, limits=LIMITS))
    assert (root.get("width"), root.get("height")) == ("270mm", "140mm")
    assert len(root.findall(f"{SVG}polyline")) >= 13 + 4


def test_nothing_of_the_patient_is_in_a_plot() -> None:
    attributes, bulk, _ = real_ecg()
    document = render_waveform_svg(attributes, bulk=bulk, limits=LIMITS).decode()
    for secret in ("Anonymous", "642341", "19710123", "Galliera", "RITMO"):
        assert secret not in document


@pytest.mark.parametrize("width", [64, 256, 1400])
def test_picture_is_as_wide_as_asked_and_shows_the_trace(width: int) -> None:
    attributes, bulk, _ = real_ecg()
    picture = render_waveform(attributes, bulk=bulk, width=width, limits=LIMITS)
    assert picture.samples.shape == (round(width * 140 / 270), width, 3)
    dark = (picture.samples < 110).all(axis=2)
    assert dark[:, width // 10 : -width // 10].any(axis=0).mean() > 0.9


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"54001004": {"vr": "US", "Value": [12]}}, "pair"),
        ({"54001006": {"vr": "CS", "Value": ["XX"]}}, "pair"),
        ({"003A0005": {"vr": "US", "Value": [0]}}, "Channels"),
        ({"003A0005": {"vr": "US", "Value": [65535]}}, "waveform_channels"),
        ({"003A0010": {"vr": "UL", "Value": [2**32 - 1]}}, "waveform_bytes"),
        ({"003A0010": {"vr": "UL", "Value": [0]}}, "no samples"),
        ({"003A001A": {"vr": "DS", "Value": [0]}}, "Frequency"),
        ({"003A001A": {"vr": "DS", "Value": ["NaN"]}}, "Frequency"),
        ({"54001010": {"vr": "OW"}}, "no samples"),
    ],
)
def test_what_has_no_samples_is_refused_with_the_reason(change: dict[str, Any], reason: str) -> None:
    attributes = waveform(ECG, {**group(np.zeros(100, "<i2"), [channel()]), **change})
    with pytest.raises(CannotRender, match=reason):
        render_waveform_svg(attributes, bulk=no_bulk, limits=LIMITS)


def test_object_without_waveforms_is_refused() -> None:
    with pytest.raises(CannotRender, match="no Waveform Sequence"):
        render_waveform_svg({}, bulk=no_bulk, limits=LIMITS)


def test_recording_that_was_cut_off_is_shown_as_far_as_it_goes() -> None:
    cut = group(np.zeros(100, "<i2"), [channel("II", "uV")])
    cut["003A0010"] = {"vr": "UL", "Value": [1000]}
    assert texts(waveform(ECG, cut))[-1].endswith("0 to 1 s")


@pytest.mark.parametrize("sop_class", [ECG, HEMODYNAMIC, AUDIO, EEG])
def test_wrong_objects_are_shown_or_refused(sop_class: str) -> None:
    samples = np.arange(40, dtype="<i2").reshape(20, 2)
    one = channel("II", "uV", 2.5, correction=1.0, baseline=0.5, time_skew=0.01, sample_skew=1)
    attributes = waveform(sop_class, group(samples, [one, channel("V1", "mm[Hg]", 0.1)], offset=3))
    plots = 0
    for broken in broken_objects(attributes, most=250):
        try:
            document = render_waveform_svg(broken, bulk=lambda path: b"\1\2\3", limits=LIMITS)
            render_waveform(broken, bulk=lambda path: b"", width=90, limits=LIMITS)
        except DICOMwebError:
            continue
        etree.fromstring(document)
        plots += 1
    assert plots > 120
