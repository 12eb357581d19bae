"""Stores on a local disk: LMDB, and content files beside it."""

from dicomweb_lmdb.store import LMDBInstanceStore
from dicomweb_lmdb.worklist import LMDBWorklistStore

__all__ = ["LMDBInstanceStore", "LMDBWorklistStore"]
