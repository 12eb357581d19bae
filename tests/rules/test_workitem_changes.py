"""What requests make of workitems: the new one, its reports and warnings (PS3.4 CC.2)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomweb_core.codecs.dictionary import tag_of
from dicomweb_core.errors import InvalidWorkitemRequest, NoSuchWorkitem, WorkitemConflict, WorkitemRefused
from dicomweb_core.rules.workitem_changes import (
    CREATED_MODIFIED,
    Change,
    WorklistPolicy,
    cancellation_requested,
    created,
    state_changed,
    uid_of,
    updated,
)
from dicomweb_core.rules.workitem_checks import missing_for
from dicomweb_core.rules.workitem_codes import Code
from dicomweb_core.rules.workitem_reports import ServerStatus, Start, event_text, server_status
from dicomweb_core.values.attributes import Attributes, first_text
from dicomweb_core.values.workitems import WORKLIST, EventReport, EventType, QueuedReport, Workitem, WorkitemState
from tests.entities import attributes
from tests.rules.made_workitems import (
    LATER,
    NOW,
    OURS,
    POLICY,
    STRICT,
    THEIRS,
    UID,
    change_to,
    claim,
    code,
    of,
    performed,
    performer,
    sent,
    update,
    workitem,
)

SCHEDULED, IN_PROGRESS, CANCELED, COMPLETED = WorkitemState
STATE, READINESS, MODIFIED = "00741000", "00404041", "00404010"
PROGRESS, REASON, REASON_CODES = "00741002", "00741238", "0074100E"
PERFORMED = "UnifiedProcedureStepPerformedProcedureSequence"
NOW_TEXT, LATER_TEXT = "20240506070809.000123+0200", "20240506071309.000123+0200"


def states(change: Change) -> list[str]:
    """Of the State Reports of a change that has no others."""
    assert {report.type for report in change.reports} <= {EventType.STATE_REPORT}
    return [first_text(report.attributes, STATE) for report in change.reports]


def kinds(change: Change) -> list[int]:
    return [report.type for report in change.reports]


def progress(of: Workitem) -> Attributes:
    (item,) = of.attributes[PROGRESS]["Value"]
    found: Attributes = item
    return found


# -- create -------------------------------------------------------------------------------------------------------


def create(policy: WorklistPolicy = POLICY, uid: str = UID, **values: Any) -> Change:
    return created(None, uid, sent(**values), NOW, policy)


def test_a_new_workitem_is_what_was_sent_and_what_the_server_knows_U012_U013() -> None:
    change = create(PatientName="Doe^J", ScheduledProcedureStepModificationDateTime="19990101", SOPClassUID=None)
    made = of(change)
    assert (made.uid, made.state, made.transaction_uid, made.performer) == (UID, SCHEDULED, None, None)
    assert made.changed == NOW.timestamp()
    expected = sent(
        PatientName="Doe^J",
        SOPClassUID="1.2.840.10008.5.1.4.34.6.1",
        SOPInstanceUID=UID,
        ScheduledProcedureStepModificationDateTime=NOW_TEXT,
        TransactionUID=...,
    )
    assert made.attributes == expected
    assert list(made.attributes) == sorted(made.attributes)
    assert (change.code, change.warnings) == (Code.SUCCESS, ())


@pytest.mark.parametrize("label", [None, ...])
def test_a_workitem_without_label_gets_one_U011(label: Any) -> None:
    change = create(replace(POLICY, worklist_label="Everything"), WorklistLabel=label)
    assert first_text(of(change).attributes, "00741202") == "Everything"
    assert (change.code, change.warnings) == (0xB300, ("The Workitem was created with modifications.",))


def test_what_may_be_empty_is_added_or_missed_U008() -> None:
    lenient = create(PatientName=..., AdmissionID=...)
    assert of(lenient).attributes["00100010"] == {"vr": "PN"}
    assert lenient.warnings == (CREATED_MODIFIED,)
    with pytest.raises(InvalidWorkitemRequest) as refused:
        create(STRICT, PatientName=..., AdmissionID=...)
    assert refused.value.code == 0x0120
    assert refused.value.offending == ("PatientName", "AdmissionID")
    assert create(STRICT).warnings == ()


def test_nothing_is_modified_when_the_transaction_uid_is_not_sent_U008() -> None:
    assert create(TransactionUID=...).warnings == ()


@pytest.mark.parametrize("state", list(WorkitemState))
def test_a_uid_is_taken_once_U005(state: WorkitemState) -> None:
    with pytest.raises(WorkitemConflict) as refused:
        created(workitem(state), UID, sent(), NOW, POLICY)
    assert refused.value.code == 0x0111


@pytest.mark.parametrize(("uid", "remembered"), [(WORKLIST, False), ("1.2.840.10008.5.1.4.34.5.1", False), (UID, True)])
def test_uids_that_are_no_workitems_or_were_are_taken_U014(uid: str, remembered: bool) -> None:
    with pytest.raises(WorkitemConflict) as refused:
        created(None, uid, sent(), NOW, POLICY, remembered=remembered)
    assert refused.value.code == 0x0111


@pytest.mark.parametrize(
    ("target", "named", "expected"),
    [
        pytest.param("1.2", None, "1.2", id="U001"),
        pytest.param(None, "1.3", "1.3", id="U002"),
        ("1.2", "1.2\0", "1.2"),
        (None, None, None),
        (None, "", None),
    ],
)
def test_the_uid_is_in_the_url_or_in_the_data_set(target: str | None, named: str | None, expected: str | None) -> None:
    assert uid_of(target, attributes(SOPInstanceUID=named)) == expected


@pytest.mark.parametrize(("target", "named"), [("1.2", "1.3"), ("1.2", "x"), ("x", None)])
def test_two_uids_or_none_is_refused_U004(target: str | None, named: str | None) -> None:
    with pytest.raises(InvalidWorkitemRequest):
        uid_of(target, attributes(SOPInstanceUID=named))


def test_the_character_set_is_the_one_of_the_stored_text_U043() -> None:
    made = of(create(SpecificCharacterSet="ISO_IR 100", PatientName="Doe"))
    assert "00080005" not in made.attributes
    named = of(create(SpecificCharacterSet="ISO_IR 13", PatientName="Yamada^Tarou=山田^太郎"))
    assert named.attributes["00080005"] == {"vr": "CS", "Value": ["ISO_IR 192"]}
    changed = of(update(named, SpecificCharacterSet="ISO_IR 100", MedicalAlerts="Grüße"))
    assert changed.attributes["00100010"] == named.attributes["00100010"]
    assert changed.attributes["00080005"] == {"vr": "CS", "Value": ["ISO_IR 192"]}


def test_a_new_workitem_is_reported_and_who_is_assigned_U084_U100() -> None:
    plain = create()
    assert [(r.workitem, r.type, r.attributes) for r in plain.reports] == [
        (UID, 1, attributes(InputReadinessState="READY", ProcedureStepState="SCHEDULED"))
    ]
    station = code("CAD")
    two = [performer("P1", "R1"), performer("P2", "R2")]
    change = create(ScheduledStationNameCodeSequence=station, ScheduledHumanPerformersSequence=two)
    assert kinds(change) == [1, 5, 5]
    assert [report.attributes for report in change.reports[1:]] == [
        attributes(
            HumanPerformerCodeSequence=code(f"P{n}"),
            ScheduledStationNameCodeSequence=station,
            HumanPerformerOrganization=f"R{n}",
        )
        for n in (1, 2)
    ]
    assert kinds(create(ScheduledStationNameCodeSequence=station)) == [1, 5]


# -- update -------------------------------------------------------------------------------------------------------


def test_an_update_changes_what_it_names_U027_U039() -> None:
    before = workitem(PatientName="Doe")
    change = update(before, ProcedureStepLabel="New", ScheduledProcedureStepModificationDateTime="1999")
    expected = before.attributes | attributes(
        ProcedureStepLabel="New", ScheduledProcedureStepModificationDateTime=LATER_TEXT
    )
    assert of(change) == replace(before, attributes=expected, changed=LATER.timestamp())
    assert (change.reports, change.warnings, change.code) == ((), (), 0)


def test_an_update_by_the_owner_U029_U030() -> None:
    before = workitem(IN_PROGRESS)
    after = of(update(before, OURS, ProcedureStepLabel="New"))
    assert after.transaction_uid == OURS
    assert of(update(before, ProcedureStepLabel="New", TransactionUID=OURS)) == after
    assert of(update(before, OURS + "\0", ProcedureStepLabel="New", TransactionUID=OURS)) == after
    assert "00081195" not in after.attributes


@pytest.mark.parametrize(
    ("state", "uid", "code_", "warning"),
    [
        pytest.param(SCHEDULED, OURS, 0xC310, "The target URI did not reference a claimed Workitem.", id="U028"),
        *(
            pytest.param(
                state,
                uid,
                code_,
                "The submitted request is inconsistent with the current state of the Workitem.",
                id=name,
            )
            for name, state, uid, code_ in (
                ("U031", IN_PROGRESS, None, 0xC301),
                ("U032", IN_PROGRESS, THEIRS, 0xC301),
                ("U033 completed", COMPLETED, OURS, 0xC300),
                ("U033 canceled", CANCELED, None, 0xC300),
            )
        ),
    ],
)
def test_an_update_that_is_refused(state: WorkitemState, uid: str | None, code_: int, warning: str) -> None:
    with pytest.raises(WorkitemRefused) as refused:
        update(workitem(state), uid, ProcedureStepLabel="New")
    assert (refused.value.code, refused.value.warning) == (code_, warning)


def test_an_update_of_nothing_U041() -> None:
    with pytest.raises(NoSuchWorkitem):
        update(None, "no uid", ProcedureStepLabel="New")


@pytest.mark.parametrize("two", [(OURS, THEIRS), ("secret", None), (None, "secret")])
def test_a_transaction_uid_is_never_quoted_U023(two: tuple[str | None, str | None]) -> None:
    with pytest.raises(InvalidWorkitemRequest) as refused:
        update(workitem(IN_PROGRESS), two[0], ProcedureStepLabel="New", TransactionUID=two[1])
    told = f"{refused.value} {refused.value.warning} {refused.value.offending} {refused.value.args!r}"
    assert all(uid not in told for uid in (OURS, THEIRS, "secret"))


def test_several_transaction_uids_in_the_data_set_are_refused() -> None:
    with pytest.raises(InvalidWorkitemRequest):
        update(workitem(IN_PROGRESS), ProcedureStepLabel="New", TransactionUID=[OURS, THEIRS])


def test_one_wrong_attribute_and_nothing_is_changed_U036_U034() -> None:
    with pytest.raises(InvalidWorkitemRequest) as refused:
        update(workitem(), ProcedureStepLabel="New", ProcedureStepState="IN PROGRESS", PatientName="Other")
    assert refused.value.offending == ("PatientName", "ProcedureStepState")
    assert refused.value.code == 0x0105


def test_what_a_client_sends_back_unchanged_is_no_change_U035() -> None:
    before = workitem(PatientName="Doe")
    given = {tag: attribute for tag, attribute in before.attributes.items() if tag != STATE}
    assert updated(before, given, None, LATER, POLICY) == Change()
    with pytest.raises(InvalidWorkitemRequest):
        updated(before, given | attributes(PatientName="Dow"), None, LATER, POLICY)


def test_a_sequence_is_replaced_whole_U037() -> None:
    before = workitem(ScheduledStationNameCodeSequence=[code("A"), code("B")])
    after = of(update(before, ScheduledStationNameCodeSequence=code("C")))
    assert after.attributes["00404025"]["Value"] == [code("C")]


def test_an_empty_value_blanks_U038() -> None:
    before = workitem(StudyInstanceUID="1.2", ScheduledStationNameCodeSequence=code())
    after = of(update(before, StudyInstanceUID=None, ScheduledStationNameCodeSequence=None))
    assert (after.attributes["0020000D"], after.attributes["00404025"]) == ({"vr": "UI"}, {"vr": "SQ"})
    with pytest.raises(InvalidWorkitemRequest) as refused:
        update(before, ProcedureStepLabel=None)
    assert refused.value.code == 0x0121


def test_to_blank_what_is_blank_is_no_change_U040() -> None:
    assert (
        update(workitem(), PatientComments=None, StudyInstanceUID=None, ScheduledStationNameCodeSequence=None)
        == Change()
    )


UPDATES: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "ProcedureStepLabel": st.sampled_from(["Registration", "New"]),
        "InputReadinessState": st.sampled_from(["READY", "INCOMPLETE"]),
        "StudyInstanceUID": st.sampled_from([None, "1.2"]),
        "ScheduledStationNameCodeSequence": st.sampled_from([None, code("A"), [code("A"), code("B")]]),
        "ScheduledHumanPerformersSequence": st.sampled_from([None, performer()]),
        "ProcedureStepProgressInformationSequence": st.sampled_from([None, attributes(ProcedureStepProgress="5")]),
        "PatientComments": st.sampled_from([None, "ü"]),
        "SpecificCharacterSet": st.sampled_from(["ISO_IR 100", None]),
        "ScheduledProcedureStepModificationDateTime": st.just("2000"),
        "PatientName": st.none(),
    },
)


@given(UPDATES, UPDATES)
def test_an_update_is_idempotent_U040(first: dict[str, Any], second: dict[str, Any]) -> None:
    before = workitem()
    for values in (first, second):
        change = update(before, **values)
        assert bool(change.reports) <= (change.workitem is not None)
        before = change.workitem or before
        assert update(before, **values) == Change()
        assert list(before.attributes) == sorted(before.attributes)


# -- reports of updates -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param({"ProcedureStepLabel": "New"}, [], id="U098 label"),
        pytest.param(
            {"InputReadinessState": "INCOMPLETE"},
            [(1, attributes(InputReadinessState="INCOMPLETE", ProcedureStepState="SCHEDULED"))],
            id="U098 readiness",
        ),
        pytest.param({"InputReadinessState": "READY"}, [], id="U098 the same readiness"),
        *(
            pytest.param(
                {"ProcedureStepProgressInformationSequence": attributes(ReasonForCancellation="r", **{name: value})},
                [
                    (
                        3,
                        attributes(
                            ProcedureStepProgressInformationSequence=attributes(
                                ReasonForCancellation="r", **{name: value}
                            )
                        ),
                    )
                ],
                id=f"U099 {name}",
            )
            for name, value in (
                ("ProcedureStepProgress", "50"),
                ("ProcedureStepProgressDescription", "half"),
                ("ProcedureStepCommunicationsURISequence", attributes(ContactURI="tel:1")),
            )
        ),
        pytest.param(
            {"ProcedureStepProgressInformationSequence": attributes(ReasonForCancellation="r")}, [], id="U099 reason"
        ),
        pytest.param(
            {"ScheduledStationNameCodeSequence": code()},
            [(5, attributes(ScheduledStationNameCodeSequence=code()))],
            id="U100 station",
        ),
        pytest.param(
            {"ScheduledHumanPerformersSequence": performer("P", "R")},
            [(5, attributes(HumanPerformerCodeSequence=code("P"), HumanPerformerOrganization="R"))],
            id="U100 performer",
        ),
    ],
)
def test_the_reports_of_an_update(values: dict[str, Any], expected: list[tuple[int, Attributes]]) -> None:
    assert update(workitem(), **values).reports == tuple(EventReport(UID, EventType(n), a) for n, a in expected)


def test_a_reason_for_cancellation_is_reported_of_a_canceled_workitem_only() -> None:
    why = attributes(ReasonForCancellation="perhaps")
    before = of(update(workitem(IN_PROGRESS), OURS, ProcedureStepProgressInformationSequence=why))
    change = update(before, OURS, InputReadinessState="INCOMPLETE")
    assert [report.attributes for report in change.reports] == [
        attributes(InputReadinessState="INCOMPLETE", ProcedureStepState="IN PROGRESS")
    ]


def test_several_reports_come_in_order_and_once() -> None:
    values = {
        "InputReadinessState": "INCOMPLETE",
        "ScheduledStationNameCodeSequence": code(),
        "ProcedureStepProgressInformationSequence": attributes(ProcedureStepProgress="50"),
    }
    change = update(workitem(), **values)
    assert kinds(change) == [1, 3, 5]
    assert kinds(update(of(change), **values)) == []


def test_who_is_not_assigned_any_more_is_reported_as_well_U100() -> None:
    change = update(workitem(ScheduledStationNameCodeSequence=code()), ScheduledStationNameCodeSequence=None)
    assert change.reports == (EventReport(UID, EventType.ASSIGNED, {}),)


# -- change state -------------------------------------------------------------------------------------------------


def test_a_claim_U044() -> None:
    before = workitem()
    request = attributes(ProcedureStepState="IN PROGRESS", TransactionUID=OURS)
    change = state_changed(before, request, LATER, POLICY, performer="CAD_A")
    after = of(change)
    assert (after.state, after.transaction_uid, after.performer) == (IN_PROGRESS, OURS, "CAD_A")
    assert after.attributes == before.attributes | attributes(ProcedureStepState="IN PROGRESS")
    assert states(change) == ["IN PROGRESS"]
    assert first_text(after.attributes, MODIFIED) == NOW_TEXT
    assert OURS not in repr(change)


@pytest.mark.parametrize("state", [None, "", "IN_PROGRESS", "CANCELLED", "in progress", ["CANCELED", "COMPLETED"]])
def test_a_state_that_is_none_U049(state: str | None) -> None:
    with pytest.raises(InvalidWorkitemRequest) as refused:
        state_changed(workitem(), attributes(ProcedureStepState=state, TransactionUID=OURS), LATER, POLICY)
    assert refused.value.code == 0x0115


def test_no_state_of_no_workitem_U062() -> None:
    with pytest.raises(NoSuchWorkitem):
        state_changed(None, {}, LATER, POLICY)


@pytest.mark.parametrize("uid", ["x", "2.25..1", "2.25.1" * 20])
def test_a_transaction_uid_that_is_none_is_incorrect_U064(uid: str) -> None:
    with pytest.raises(InvalidWorkitemRequest) as refused:
        claim(workitem(), uid)
    assert (refused.value.code, refused.value.warning) == (0xC301, "The Transaction UID is incorrect.")
    assert uid not in str(refused.value)


def test_back_to_scheduled_is_a_conflict_whatever_the_transaction_uid_is_U048() -> None:
    for uid in (None, OURS, "no uid"):
        with pytest.raises(WorkitemConflict):
            change_to(SCHEDULED, workitem(IN_PROGRESS), uid)


def test_completion_needs_what_was_performed_U051() -> None:
    before = workitem(IN_PROGRESS)
    with pytest.raises(WorkitemConflict) as refused:
        change_to(COMPLETED, before)
    assert refused.value.code == 0xC304
    assert refused.value.offending == (PERFORMED,)
    assert refused.value.warning == "The submitted request is inconsistent with the state of the UPS Instance."
    ready = of(update(before, OURS, **{PERFORMED: performed()}))
    change = change_to(COMPLETED, ready)
    assert of(change).attributes == ready.attributes | attributes(ProcedureStepState="COMPLETED")
    assert states(change) == ["COMPLETED"]


def test_cancellation_by_the_performer_U055_U056_U057() -> None:
    change = change_to(CANCELED, workitem(IN_PROGRESS))
    item = progress(of(change))
    assert first_text(item, "00404052") == LATER_TEXT
    assert first_text(item[REASON_CODES]["Value"][0], "00080100") == "110513"
    (report,) = change.reports
    assert report.attributes == attributes(
        InputReadinessState="READY",
        ProcedureStepState="CANCELED",
        ProcedureStepDiscontinuationReasonCodeSequence=item[REASON_CODES]["Value"],
    )


def test_a_strict_site_wants_a_reason_U056() -> None:
    before = workitem(IN_PROGRESS)
    with pytest.raises(WorkitemConflict) as refused:
        change_to(CANCELED, before, policy=STRICT)
    assert refused.value.code == 0xC304
    why = attributes(ProcedureStepDiscontinuationReasonCodeSequence=code("110514"), ReasonForCancellation="wrong arm")
    told = of(update(before, OURS, ProcedureStepProgressInformationSequence=why))
    change = change_to(CANCELED, told, policy=STRICT)
    assert progress(of(change))[REASON_CODES]["Value"] == [code("110514")]
    assert first_text(change.reports[0].attributes, REASON) == "wrong arm"


def test_what_the_performer_has_said_of_the_cancellation_stays_U055() -> None:
    said = attributes(
        ProcedureStepCancellationDateTime="2024", ProcedureStepDiscontinuationReasonCodeSequence=code("110514")
    )
    before = of(update(workitem(IN_PROGRESS), OURS, ProcedureStepProgressInformationSequence=said))
    assert progress(of(change_to(CANCELED, before))) == said


@pytest.mark.parametrize(
    ("state", "code_", "warning"),
    [
        pytest.param(COMPLETED, 0xB306, "The UPS is already in the requested state of COMPLETED.", id="U058"),
        pytest.param(CANCELED, 0xB304, "The UPS is already in the requested state of CANCELED.", id="U059"),
    ],
)
def test_the_same_final_state_again(state: WorkitemState, code_: int, warning: str) -> None:
    assert change_to(state, workitem(state)) == Change(code=Code(code_), warnings=(warning,))


# -- request cancellation -----------------------------------------------------------------------------------------

WHY = attributes(
    ReasonForCancellation="wrong input",
    ProcedureStepDiscontinuationReasonCodeSequence=code("110514"),
    ContactURI="tel:+43000",
    ContactDisplayName="Desk 2",
)


def request(stored: Workitem | None, why: Attributes, requester: str | None = None) -> Change:
    return cancellation_requested(stored, why, requester, LATER, POLICY)


@pytest.mark.parametrize("why", [{}, WHY])
def test_a_scheduled_workitem_is_canceled_by_the_server_U065_U067(why: Attributes) -> None:
    change = request(workitem(), why)
    after = of(change)
    assert (after.state, after.transaction_uid) == (CANCELED, None)
    assert missing_for(CANCELED, after.attributes) == []
    assert states(change) == ["IN PROGRESS", "CANCELED"]
    assert REASON_CODES not in change.reports[0].attributes
    assert REASON_CODES in change.reports[1].attributes


def test_the_server_writes_down_who_wanted_it_and_why_U066() -> None:
    known = attributes(ProcedureStepCommunicationsURISequence=attributes(ContactURI="tel:1"))
    before = of(update(workitem(), ProcedureStepProgressInformationSequence=known))
    assert progress(of(request(before, WHY))) == attributes(
        ProcedureStepCancellationDateTime=LATER_TEXT,
        ProcedureStepCommunicationsURISequence=[
            attributes(ContactURI="tel:1"),
            attributes(ContactURI="tel:+43000", ContactDisplayName="Desk 2"),
        ],
        ProcedureStepDiscontinuationReasonCodeSequence=code("110514"),
        ReasonForCancellation="wrong input",
    )


def test_a_performer_is_told_U068_U069() -> None:
    before = workitem(IN_PROGRESS)
    full = request(before, WHY, "RIS_A")
    assert full.workitem is None
    assert full.reports == (EventReport(UID, EventType.CANCEL_REQUESTED, WHY | attributes(RequestingAE="RIS_A")),)
    assert list(full.reports[0].attributes) == sorted(full.reports[0].attributes)
    (bare,) = request(before, attributes(ReasonForCancellation=None)).reports
    assert bare.attributes == attributes(RequestingAE="UNKNOWN")


def test_a_final_workitem_cannot_be_canceled_again_U070() -> None:
    with pytest.raises(WorkitemConflict) as refused:
        request(workitem(COMPLETED), {})
    assert refused.value.code == 0xC311
    again = request(workitem(CANCELED), {})
    assert again == Change(
        code=Code.ALREADY_CANCELED, warnings=("The UPS is already in the requested state of CANCELED.",)
    )
    with pytest.raises(NoSuchWorkitem):
        request(None, {})


@pytest.mark.parametrize(
    "why",
    [
        attributes(ProcedureStepDiscontinuationReasonCodeSequence=attributes(CodeValue="110514")),
        attributes(x00741238=("SQ", {})),
    ],
)
def test_a_reason_that_is_none_is_refused(why: Attributes) -> None:
    with pytest.raises(InvalidWorkitemRequest):
        request(workitem(), why)


# -- the server ---------------------------------------------------------------------------------------------------


def test_the_report_of_a_restart_U104() -> None:
    report = server_status(ServerStatus.RESTARTED, Start.WARM, Start.COLD)
    assert (report.workitem, report.type) == (WORKLIST, EventType.SERVER_STATUS)
    assert report.attributes == attributes(
        SCPStatus="RESTARTED", SubscriptionListStatus="WARM START", UnifiedProcedureStepListStatus="COLD START"
    )
    assert tag_of("SCPStatus") == "00741242"


@pytest.mark.parametrize(("sequence", "message_id"), [(1, 1), (65_535, 65_535), (65_536, 0), (65_537, 1), (1 << 62, 0)])
def test_message_ids_stay_within_us_U096_U103(sequence: int, message_id: int) -> None:
    (report,) = claim(workitem()).reports
    text = event_text(QueuedReport(sequence, report, 0.0))
    assert orjson.loads(text)["00000110"] == {"vr": "US", "Value": [message_id]}
    assert event_text(QueuedReport(sequence, report, 1.0)) == text, "sent again, it is the same"
