"""Processes for the tests of the worklist over several of them, each with a server over one store on disk.

`python -m tests.standard.worklist_processes path claim name count` waits for a line, then claims the workitems 0 to
`count` - 1, in an order of its own, and prints for each its number, the status and the Warning.

`... path watch AET until` prints the UID, sequence number, Message ID and state of every event for an AE title, each
once the one before is acknowledged, until it has printed the state `until` so many times as a line says; then it ends.

`... path change first` creates and claims workitems until it is killed, and prints each UID when it is claimed.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

from dicomweb_lmdb import LMDBWorklistStore
from tests.worklists import WorklistClient, value


def uid_of(number: int) -> str:
    return f"2.25.{1_000_000 + number}"


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")


def claim(client: WorklistClient, name: str, count: int) -> None:
    numbers = list(range(count))
    # Neighbours in groups, so that all are after the same ones at the same time, and none is always the first.
    chance = random.Random(name)
    groups = [numbers[first : first + 10] for first in range(0, count, 10)]
    say("ready")
    sys.stdout.flush()
    sys.stdin.readline()
    for group in groups:
        for number in chance.sample(group, len(group)):
            answer = client.change("IN PROGRESS", f"2.25.{name}", uid_of(number))
            say(number, answer.status, answer.header("Warning") or "")


def watch(client: WorklistClient, aet: str, count: int) -> None:
    say("ready")
    sys.stdout.flush()
    for seen, event in enumerate(client.server.events(aet), 1):
        sent = json.loads(event.text)
        say(value(sent, "00001000"), event.sequence, value(sent, "00000110"), value(sent, "00741000"))
        sys.stdout.flush()
        if seen == count:
            return


def change(client: WorklistClient, first: int) -> None:
    number = first
    while True:
        uid = uid_of(number)
        assert client.create(uid).status == 201
        assert client.change("IN PROGRESS", "2.25.7", uid).status == 200
        say(uid)
        sys.stdout.flush()
        number += 1


def main() -> None:
    """See above."""
    path, what, *words = sys.argv[1:]
    client = WorklistClient(LMDBWorklistStore(Path(path)))
    match what, words:
        case "claim", [name, count]:
            claim(client, name, int(count))
        case "watch", [aet, count]:
            watch(client, aet, int(count))
        case "change", [first]:
            change(client, int(first))
    client.server.close()


if __name__ == "__main__":
    main()
