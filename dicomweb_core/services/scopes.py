"""What a request may see: what `authorize` narrows it to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from dicomweb_core.rules.matching import matches
from dicomweb_core.rules.query_parser import parse_query
from dicomweb_core.values.attributes import Attributes
from dicomweb_core.values.limits import Limits
from dicomweb_core.values.queries import Level, MatchKey


@dataclass(frozen=True, slots=True)
class Scope:
    """The studies a request may see. Without keys: all."""

    keys: tuple[MatchKey, ...] = ()

    @classmethod
    def of(cls, narrowing: Mapping[str, str] | None, limits: Limits) -> Scope:
        """From what `authorize` returned. Raises InvalidQuery: a mistake of the site's, not the client's."""
        if not narrowing:
            return EVERYTHING
        return cls(parse_query(Level.STUDY, None, urlencode(narrowing), limits).keys)

    def admits(self, study: Attributes) -> bool:
        """Whether a study, or a workitem, with these attributes is inside."""
        return not self.keys or matches(self.keys, study)


EVERYTHING: Final = Scope()
