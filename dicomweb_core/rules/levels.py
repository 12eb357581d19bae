"""Which level of the Query/Retrieve model an attribute belongs to (PS3.3 A.1.4, PS3.4 C.6.1.1, C.6.2.1).

Patient and Study attributes are STUDY, those of the Series, Equipment and Frame of Reference IEs are SERIES, and
everything that is not listed here, private attributes included, is INSTANCE.
"""

from __future__ import annotations

from typing import Final

from dicomweb_core.codecs.dictionary import tag_of
from dicomweb_core.values.queries import Level


def tags_of(*modules: str) -> frozenset[str]:
    """The tags of keywords, listed by module. Keywords that an older dictionary does not know are left out."""
    return frozenset(tag for module in modules for keyword in module.split() if (tag := tag_of(keyword)) is not None)


STUDY_TAGS: Final = tags_of(
    # Patient (PS3.3 C.7.1.1, C.2.2, C.2.3)
    """PatientName PatientID IssuerOfPatientID IssuerOfPatientIDQualifiersSequence TypeOfPatientID PatientBirthDate
    PatientBirthDateInAlternativeCalendar PatientDeathDateInAlternativeCalendar PatientAlternativeCalendar
    PatientBirthTime PatientSex QualityControlSubject ReferencedPatientPhotoSequence ReferencedPatientSequence
    OtherPatientIDs OtherPatientIDsSequence OtherPatientNames EthnicGroup EthnicGroupCodeSequence PatientComments
    PatientSpeciesDescription PatientSpeciesCodeSequence PatientBreedDescription PatientBreedCodeSequence
    BreedRegistrationSequence StrainDescription StrainNomenclature StrainCodeSequence StrainAdditionalInformation
    StrainStockSequence GeneticModificationsSequence ResponsiblePerson ResponsiblePersonRole ResponsibleOrganization
    PatientIdentityRemoved DeidentificationMethod DeidentificationMethodCodeSequence
    SourcePatientGroupIdentificationSequence GroupOfPatientsIdentificationSequence PatientBirthName
    PatientMotherBirthName PatientInsurancePlanCodeSequence PatientPrimaryLanguageCodeSequence PatientAddress
    PatientTelephoneNumbers PatientTelecomInformation CountryOfResidence RegionOfResidence PatientReligiousPreference
    MilitaryRank BranchOfService ConfidentialityConstraintOnPatientDataDescription MedicalRecordLocator
    ReferencedPatientAliasSequence""",
    # Patient Study and Visit (PS3.3 C.7.2.2, C.3)
    """AdmittingDiagnosesDescription AdmittingDiagnosesCodeSequence PatientAge PatientSize PatientSizeCodeSequence
    PatientWeight PatientBodyMassIndex MeasuredAPDimension MeasuredLateralDimension MedicalAlerts Allergies
    SmokingStatus PregnancyStatus LastMenstrualDate PatientState PatientSexNeutered Occupation
    AdditionalPatientHistory AdmissionID IssuerOfAdmissionID IssuerOfAdmissionIDSequence ServiceEpisodeID
    IssuerOfServiceEpisodeID IssuerOfServiceEpisodeIDSequence ServiceEpisodeDescription ReasonForVisit
    ReasonForVisitCodeSequence SpecialNeeds VisitComments CurrentPatientLocation PatientInstitutionResidence
    AdmittingDate AdmittingTime""",
    # General Study (PS3.3 C.7.2.1, PS3.4 Table C.6-5)
    """StudyInstanceUID StudyDate StudyTime StudyID AccessionNumber IssuerOfAccessionNumberSequence
    ReferringPhysicianName ReferringPhysicianIdentificationSequence ConsultingPhysicianName
    ConsultingPhysicianIdentificationSequence StudyDescription PhysiciansOfRecord
    PhysiciansOfRecordIdentificationSequence NameOfPhysiciansReadingStudy PhysiciansReadingStudyIdentificationSequence
    RequestingService RequestingServiceCodeSequence RequestingPhysician RequestingPhysicianIdentificationSequence
    ReferencedStudySequence ProcedureCodeSequence ReasonForPerformedProcedureCodeSequence OtherStudyNumbers
    StudyStatusID StudyPriorityID StudyIDIssuer StudyVerifiedDate StudyVerifiedTime StudyReadDate StudyReadTime
    StudyArrivalDate StudyArrivalTime StudyCompletionDate StudyCompletionTime StudyComments InterpretationAuthor
    AnatomicRegionsInStudyCodeSequence""",
    # Clinical Trial Subject and Study (PS3.3 C.7.1.3, C.7.2.3)
    """ClinicalTrialSponsorName ClinicalTrialProtocolID IssuerOfClinicalTrialProtocolID ClinicalTrialProtocolName
    OtherClinicalTrialProtocolIDsSequence ClinicalTrialSiteID IssuerOfClinicalTrialSiteID ClinicalTrialSiteName
    ClinicalTrialSubjectID IssuerOfClinicalTrialSubjectID ClinicalTrialSubjectReadingID
    IssuerOfClinicalTrialSubjectReadingID ClinicalTrialProtocolEthicsCommitteeName
    ClinicalTrialProtocolEthicsCommitteeApprovalNumber EthicsCommitteeApprovalEffectivenessStartDate
    EthicsCommitteeApprovalEffectivenessEndDate ClinicalTrialTimePointID IssuerOfClinicalTrialTimePointID
    ClinicalTrialTimePointDescription LongitudinalTemporalOffsetFromEvent LongitudinalTemporalEventType
    ClinicalTrialTimePointTypeCodeSequence ConsentForClinicalTrialUseSequence""",
    # Computed over the content of a study (PS3.4 Table C.6-5)
    """ModalitiesInStudy SOPClassesInStudy NumberOfStudyRelatedSeries NumberOfStudyRelatedInstances
    NumberOfPatientRelatedStudies NumberOfPatientRelatedSeries NumberOfPatientRelatedInstances""",
    # Of every level, and so of the highest (PS3.4 C.4.1.1.3.2, PS3.18 10.6.3.3)
    """TimezoneOffsetFromUTC InstanceAvailability RetrieveURL RetrieveAETitle StorageMediaFileSetID
    StorageMediaFileSetUID""",
)

SERIES_TAGS: Final = tags_of(
    # General Series (PS3.3 C.7.3.1, PS3.4 C.6.1.1.4)
    """Modality SeriesInstanceUID SeriesNumber Laterality SeriesDate SeriesTime PerformingPhysicianName
    PerformingPhysicianIdentificationSequence ProtocolName ReferencedDefinedProtocolSequence
    ReferencedPerformedProtocolSequence SeriesDescription SeriesDescriptionCodeSequence OperatorsName
    OperatorIdentificationSequence ReferencedPerformedProcedureStepSequence RelatedSeriesSequence BodyPartExamined
    PatientPosition SmallestPixelValueInSeries LargestPixelValueInSeries RequestAttributesSequence
    PerformedProcedureStepID PerformedProcedureStepStartDate PerformedProcedureStepStartTime
    PerformedProcedureStepEndDate PerformedProcedureStepEndTime PerformedProcedureStepDescription
    PerformedProtocolCodeSequence CommentsOnThePerformedProcedureStep AnatomicalOrientationType TreatmentSessionUID
    NumberOfSeriesRelatedInstances""",
    # Clinical Trial Series (PS3.3 C.7.3.2)
    """ClinicalTrialCoordinatingCenterName ClinicalTrialSeriesID IssuerOfClinicalTrialSeriesID
    ClinicalTrialSeriesDescription""",
    # Frame of Reference and Synchronization (PS3.3 C.7.4)
    """FrameOfReferenceUID PositionReferenceIndicator SynchronizationFrameOfReferenceUID SynchronizationTrigger
    TriggerSourceOrType SynchronizationChannel AcquisitionTimeSynchronized TimeSource TimeDistributionProtocol
    NTPSourceAddress""",
    # General and Enhanced General Equipment (PS3.3 C.7.5)
    """Manufacturer InstitutionName InstitutionAddress StationName StationAETitle InstitutionalDepartmentName
    InstitutionalDepartmentTypeCodeSequence ManufacturerModelName ManufacturerDeviceClassUID DeviceSerialNumber
    DeviceUID SoftwareVersions GantryID UDISequence SpatialResolution DateOfManufacture DateOfInstallation
    DateOfLastCalibration TimeOfLastCalibration""",
)

COMPUTED_TAGS: Final = tags_of(
    """ModalitiesInStudy SOPClassesInStudy NumberOfStudyRelatedSeries NumberOfStudyRelatedInstances
    NumberOfSeriesRelatedInstances InstanceAvailability RetrieveURL AvailableTransferSyntaxUID
    NumberOfPatientRelatedStudies NumberOfPatientRelatedSeries NumberOfPatientRelatedInstances"""
)
"""Never taken from a stored data set: they tell of the archive, not of the file (PS3.4 C.4.1.1.3.2)."""

TIMEZONE_OFFSET: Final = "00080201"
"""Timezone Offset From UTC, returned at every level (PS3.18 Tables 10.6.3-3, -4, -5)."""

SPECIFIC_CHARACTER_SET: Final = "00080005"


def level_of(tag: str) -> Level:
    """The level of an attribute at the top of a data set. 8 upper-case hex digits."""
    if tag in STUDY_TAGS:
        return Level.STUDY
    return Level.SERIES if tag in SERIES_TAGS else Level.INSTANCE


def is_private(tag: str) -> bool:
    """Whether the group number is odd (PS3.5 7.8)."""
    return tag[3] in "13579BDF"


def is_private_creator(tag: str) -> bool:
    """Whether the element is one of (gggg,0010-00FF) of an odd group (PS3.5 7.8.1)."""
    return is_private(tag) and tag[4:6] == "00" and tag[6:8] >= "10"
