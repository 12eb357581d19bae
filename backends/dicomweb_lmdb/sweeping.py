"""What was begun and never finished: files of writers that died, and files that the index has let go."""

from __future__ import annotations

import itertools

from dicomweb_core.errors import StorageUnavailable
from dicomweb_lmdb.content_files import BLOCK_OF_FILES, ContentFiles, Writer
from dicomweb_lmdb.environment import Environment, View
from dicomweb_lmdb.rows import ContentName

_MOST_AT_ONCE = 10_000


def sweep(environment: Environment, files: ContentFiles) -> None:
    """Empties the trash and removes what dead writers have left. Looks only where something can be.

    A store that cannot be written is left as it is.
    """
    try:
        _empty_trash(environment, files)
        for token in files.dead_writers():
            _sweep_writer(environment, files, token)
    except StorageUnavailable:
        pass


def record_writer(view: View, writer: Writer) -> None:
    """Keeps for our successors where our unfinished files can be."""
    block = writer.first_unsettled_block
    if block:
        view.txn.put(writer.token, block.to_bytes(8, "big"), db=view.tables.writers)


def _empty_trash(environment: Environment, files: ContentFiles) -> None:
    with environment.read() as view, view.txn.cursor(view.tables.trash) as cursor:
        keys = itertools.islice(cursor.iternext(keys=True, values=False), _MOST_AT_ONCE)
        names = [ContentName.unpack(key) for key in keys]
    gone = [name for name in names if files.unlink(name)]
    if gone:
        with environment.write() as view:
            for name in gone:
                view.txn.delete(name.pack(), db=view.tables.trash)


def _sweep_writer(environment: Environment, files: ContentFiles, token: bytes) -> None:
    """Its files that the index does not name. Nobody can begin to name them: the writer is dead."""
    with environment.read() as view:
        packed = view.txn.get(token, db=view.tables.writers)
    first = int.from_bytes(packed, "big") if packed is not None else 0
    names = list(files.names(token, first))
    for at in range(0, len(names), BLOCK_OF_FILES):
        some = names[at : at + BLOCK_OF_FILES]
        with environment.read() as view:
            unused = [name for name in some if view.txn.get(name.pack(), db=view.tables.contents) is None]
        for name in unused:
            files.unlink(name)
    files.remove_empty(token)
    if packed is not None:
        with environment.write() as view:
            view.txn.delete(token, db=view.tables.writers)
