"""Every ceiling of the server, each with its unit. A ceiling is checked before the allocation it guards."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Ceilings. What passes one gets a typed error that names it; nothing is cut silently."""

    # -- requests --
    uri_bytes: int = 65_536
    """Path and query together."""
    accept_bytes: int = 16_384
    """The Accept header or parameter; what is longer is refused (400)."""
    request_bytes: int = 1 << 42
    """The payload of one request (4 TiB: storage is the real limit)."""

    # -- multipart/related (PS3.18 8.6.1.2) --
    multipart_parts: int = 100_000
    """Parts in one request."""
    multipart_header_bytes: int = 16_384
    """All headers of one part."""
    multipart_headers: int = 64
    """Header fields of one part."""
    multipart_preamble_bytes: int = 65_536
    """Bytes before the first boundary, and after the last."""

    # -- DICOM JSON and XML sent by a client (PS3.18 F, PS3.19 A.1) --
    model_bytes: int = 64 << 20
    """The text of one part or payload: it is read as a whole."""

    workitem_bytes: int = 4 << 20
    """A workitem as DICOM JSON, and the payload of a request about one."""

    # -- events of the worklist --
    queued_reports: int = 100_000
    """Reports that wait for one AE. When more come, a tenth of them, the oldest, makes room; in their place the AE gets
    an SCP Status Change, on which it looks at its workitems anew (PS3.4 CC.2.4.2)."""
    waiting_listeners: int = 4
    """Listeners of a process that may keep one of its threads waiting: streams and long polls, not WebSockets."""
    event_connections: int = 10_000
    """Notification connections (WebSockets) of a process."""
    event_wait_seconds: float = 25.0
    """How long a request for a list of events waits at most when there is none."""
    event_stream_seconds: float = 25.0
    """How long a stream of events (Server-Sent Events) lasts; the client says with its next one what it has got. Less
    than the 30 seconds that gunicorn leaves a request when it restarts a worker."""
    event_keep_alive_seconds: float = 10.0
    """After how long without an event a stream has a comment, so that nobody takes it for dead."""

    # -- Part 10 --
    instance_bytes: int = 1 << 40
    """One Part 10 file, as sent."""
    inflated_bytes: int = 1 << 30
    """One deflated data set (PS3.5 A.5), inflated."""
    sequence_depth: int = 64
    """Sequences nested in one another. Also keeps the JSON below the nesting that readers take."""
    elements: int = 500_000
    """Data elements and items of one data set, at all depths."""
    value_bytes: int = 16 << 20
    """One value that has to be kept in the metadata because its VR allows no BulkDataURI."""
    metadata_bytes: int = 128 << 20
    """The DICOM JSON text of one instance."""
    summary_bytes: int = 256 << 10
    """What searches return of one instance at one level, as JSON: it is read and kept for every result."""
    fragments: int = 4_000_000
    """Fragments of one encapsulated element."""
    frames: int = 4_000_000
    """Frames of one instance."""

    # -- metadata: what is inline (PS3.18 F.2.6, F.2.7) --
    inline_binary_bytes: int = 1_024
    """OB, OW and UN values up to this size are InlineBinary, larger ones a BulkDataURI."""
    inline_numbers_bytes: int = 65_536
    """OD, OF, OL and OV up to this size are InlineBinary: point coordinates and contours of annotations."""
    inline_icc_profile_bytes: int = 1 << 20
    """ICC Profile (0028,2000): clients that do not follow a BulkDataURI lose the colours."""
    inline_text_bytes: int = 1 << 20
    """Values of the other VRs that allow a BulkDataURI (PS3.18 F.2.2), up to this size are in the JSON."""

    # -- search --
    search_results: int = 10_000
    """Results of one answer; the rest is announced by a Warning (PS3.18 8.3.4.4)."""
    search_bytes: int = 16 << 20
    """JSON text of one answer; the page ends at the result that passes it."""
    search_keys: int = 256
    """Match keys of one query."""
    search_key_bytes: int = 4_096
    """The value of one match key."""
    search_include_fields: int = 4_096
    """`includefield` attributes of one query."""
    search_path_depth: int = 16
    """Tags in one dotted attribute path."""

    # -- retrieve --
    frame_list: int = 10_000
    """Frame numbers in one request."""
    chunk_bytes: int = 1 << 20
    """What is read from storage or sent at once."""

    # -- pixels --
    frame_bytes: int = 256 << 20
    """One frame without compression; a larger one is sent as it is stored, or not at all."""
    frame_cache_bytes: int = 32 << 20
    """Decoded and transcoded frames kept for the next request."""
    decoded_ahead_bytes: int = 8 << 20
    """Frames transcoded before the first byte of an answer, so that those that cannot be are known."""
    rendered_pixels: int = 64 << 20
    """A rendered picture that was enlarged; one that is as large as its source may have more."""
    picture_cache_bytes: int = 16 << 20
    """Rendered pictures, as they are sent, kept for the next request."""
    attributes_cache_bytes: int = 32 << 20
    """Attributes of instances that are rendered, kept for their next frame."""
    icc_profile_bytes: int = 4 << 20
    """An ICC profile that a rendered picture is given or converted from; a longer one does not count."""
    codec_seconds: float = 60.0
    """One frame in one codec, where codecs run in processes of their own."""
    codec_memory_bytes: int = 2 << 30
    """Address space of such a process, beyond what it starts with."""

    # -- reports (PS3.3 C.17) --
    report_items: int = 500_000
    """Content items of one document that is shown."""
    report_depth: int = 1_000
    """Content items nested in one another; `sequence_depth` stops what is stored before."""
    report_pages: int = 200
    """Pages of one document that is made into a PDF."""

    # -- store --
    pending_record_bytes: int = 16 << 20
    """Records of a store request held before they are committed together; then a further commit begins."""
    pending_instances: int = 1_000
    """The same by number: each pending instance holds a file descriptor or its bytes."""
    pending_blob_bytes: int = 16 << 20
    """The same by bytes of small instances that wait in memory."""
    bulk_reuse: int = 64
    """How many times the bulk data of a store request may be written because data sets share parts."""

    # -- objects that are no plain images, rendered --
    contour_points: int = 2_000_000
    """Points of all contours that are looked at for one picture."""
    contour_regions: int = 1_000
    """Regions of interest with contours of one structure set."""
    waveform_bytes: int = 256 << 20
    """Waveform Data of one multiplex group."""
    waveform_channels: int = 512
    """Channels of one picture."""
