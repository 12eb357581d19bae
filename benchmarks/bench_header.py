"""Part 10 file to DICOM JSON text: `read_part10` beside `pydicom.dcmread` + `to_json_dict`.

The same bytes in memory, the two readers in turns, the median of the paired ratios. One line per case.
"""

from __future__ import annotations

import json
import logging
import statistics
import time
import warnings
from io import BytesIO
from pathlib import Path

import pydicom
from pydicom.data import get_charset_files, get_testdata_files

from dicomweb_core.codecs.part10_reader import BytesSource, read_part10
from dicomweb_core.values.limits import Limits

CASES = {
    "CT": "CT_small.dcm",
    "MR": "MR_small.dcm",
    "MR implicit": "MR_small_implicit.dcm",
    "SR": "test-SR.dcm",
    "SR (report)": "reportsi.dcm",
    "enhanced CT": "eCT_Supplemental.dcm",
    "RT plan": "rtplan.dcm",
    "RT structures": "rtstruct.dcm",
    "ISO 2022": "chrH32.dcm",
}
ROUNDS = 30


def part10(name: str) -> bytes:
    """The file; what comes without File Meta Information gets one."""
    path = next(iter(get_testdata_files(f"**/{name}")), None) or get_charset_files(name)[0]
    content = Path(str(path)).read_bytes()
    if content[128:132] == b"DICM":
        return content
    dataset = pydicom.dcmread(BytesIO(content), force=True)
    out = BytesIO()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def seconds(work: object, content: bytes) -> float:
    """One call."""
    begin = time.perf_counter()
    work(content)  # type: ignore[operator]
    return time.perf_counter() - begin


def ours(content: bytes) -> bytes:
    """Our reader."""
    return read_part10(BytesSource(content), LIMITS).metadata


def theirs(content: bytes) -> str:
    """pydicom; pixel data by reference, as we do."""
    dataset = pydicom.dcmread(BytesIO(content))
    return json.dumps(dataset.to_json_dict(bulk_data_threshold=1024, bulk_data_element_handler=lambda _: "uri"))


LIMITS = Limits()


def main() -> None:
    """Prints the table."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    for case, name in CASES.items():
        content = part10(name)
        pairs = []
        for _ in range(ROUNDS):
            pairs.append((seconds(ours, content), seconds(theirs, content)))
        ratio = statistics.median(peer / our for our, peer in pairs)
        our, peer = (statistics.median(column) * 1e6 for column in zip(*pairs, strict=True))
        print(f"{case:14} ours {our:8.0f} us   pydicom {peer:8.0f} us   ratio {ratio:5.1f}")


if __name__ == "__main__":
    main()
