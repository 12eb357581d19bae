"""What a client has to know of a server that it does not learn from its answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a server wants to be spoken to, where editions of PS3.18 and servers differ. The defaults suit the most."""

    payload_in_array: bool = True
    """A data set is sent as an array of one (PS3.18 F.2.1), otherwise as a bare object."""
    transaction_uid_in_query: bool = True
    """In an Update (11.6.1.2)."""
    transaction_uid_in_dataset: bool = True
    """In an Update: what some servers read instead. They must not differ, and ours do not."""
    filter_parameter: bool = True
    """`filter=` of a subscription (11.10.1.2), otherwise a parameter for each match key, as until 2019."""
    requester_parameter: bool = True
    """Our AE title goes with changes of state and requests for cancellation."""
