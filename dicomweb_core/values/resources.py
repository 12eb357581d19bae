"""What a URL can name in the Studies Service (PS3.18 10.1.1), parsed once into types that cannot be wrong."""

from __future__ import annotations

from typing import NamedTuple, Self

from dicomweb_core.values.uids import parse_uid


class StudyRef(NamedTuple):
    """A study."""

    study: str

    @classmethod
    def parse(cls, study: str) -> Self:
        """Raises InvalidUID."""
        return cls(parse_uid(study, "Study Instance UID"))

    @property
    def path(self) -> str:
        """Below the service root, without a slash in front."""
        return f"studies/{self.study}"


class SeriesRef(NamedTuple):
    """A series of a study. The same Series Instance UID in another study is another series."""

    study: str
    series: str

    @classmethod
    def parse(cls, study: str, series: str) -> Self:
        """Raises InvalidUID."""
        return cls(parse_uid(study, "Study Instance UID"), parse_uid(series, "Series Instance UID"))

    @property
    def path(self) -> str:
        """Below the service root, without a slash in front."""
        return f"studies/{self.study}/series/{self.series}"

    @property
    def of_study(self) -> StudyRef:
        """The study it is in."""
        return StudyRef(self.study)


class InstanceRef(NamedTuple):
    """An instance of a series."""

    study: str
    series: str
    instance: str

    @classmethod
    def parse(cls, study: str, series: str, instance: str) -> Self:
        """Raises InvalidUID."""
        return cls(
            parse_uid(study, "Study Instance UID"),
            parse_uid(series, "Series Instance UID"),
            parse_uid(instance, "SOP Instance UID"),
        )

    @property
    def path(self) -> str:
        """Below the service root, without a slash in front."""
        return f"studies/{self.study}/series/{self.series}/instances/{self.instance}"

    @property
    def of_series(self) -> SeriesRef:
        """The series it is in."""
        return SeriesRef(self.study, self.series)

    @property
    def of_study(self) -> StudyRef:
        """The study it is in."""
        return StudyRef(self.study)


Ref = StudyRef | SeriesRef | InstanceRef
