"""An instance store on a local disk: LMDB and content files beside it."""

from dicomweb_lmdb.store import LMDBInstanceStore

__all__ = ["LMDBInstanceStore"]
