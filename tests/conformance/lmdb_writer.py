"""A process that stores until it is told to stop or killed: `python -m tests.conformance.lmdb_writer path first rows`.

It prints the number of each study whose commit has returned. Ten in a commit; every third commit deletes a study again,
and prints it with a minus.
"""

from __future__ import annotations

import sys

from dicomweb_core.testing.samples import sample, sample_ref
from dicomweb_core.testing.store_calls import put
from dicomweb_lmdb import LMDBInstanceStore


def main() -> None:
    path, first, rows = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    store = LMDBInstanceStore(path)
    study = first
    while True:
        put(store, [sample(study, 1, one, rows=rows, columns=rows) for one in range(1, 4)])
        sys.stdout.write(f"{study}\n")
        sys.stdout.flush()
        if study % 3 == 0:
            store.delete(sample_ref(study - 1).of_study)
            sys.stdout.write(f"-{study - 1}\n")
            sys.stdout.flush()
        study += 1


if __name__ == "__main__":
    main()
