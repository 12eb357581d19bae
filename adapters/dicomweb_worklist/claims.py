"""The proof that a workitem is ours."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Self

from dicomweb_worklist.datasets import new_uid


@dataclass(frozen=True, slots=True)
class Claim:
    """A workitem and the Transaction UID that it was claimed with (PS3.4 CC.1.1).

    Whoever has it may change the workitem, and no server tells it again. So a performer keeps `saved()` until the
    workitem is final, best before it claims: `Claim.of(uid)`, save, `client.claim(claim)`. Then it can go on
    after a crash in any moment (CC.2.1.2). The Transaction UID is in no repr.
    """

    workitem: str
    transaction_uid: str = field(repr=False)

    @classmethod
    def of(cls, workitem: str) -> Self:
        """A new one, to be sent yet."""
        return cls(workitem, new_uid())

    def saved(self) -> str:
        """A text to be kept, and kept secret."""
        return json.dumps({"workitem": self.workitem, "transaction_uid": self.transaction_uid})

    @classmethod
    def restored(cls, saved: str) -> Self:
        """From what was saved. Raises ValueError."""
        try:
            found = json.loads(saved)
            workitem, transaction_uid = found["workitem"], found["transaction_uid"]
        except (ValueError, TypeError, KeyError):
            raise ValueError("This is no saved claim.") from None
        if not (isinstance(workitem, str) and isinstance(transaction_uid, str)):
            raise ValueError("This is no saved claim.")
        return cls(workitem, transaction_uid)
