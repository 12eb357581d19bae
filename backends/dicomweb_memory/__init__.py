"""Stores in memory: the simplest correct ones."""

from dicomweb_memory.instances import MemoryInstanceStore
from dicomweb_memory.worklist import MemoryWorklistStore

__all__ = ["MemoryInstanceStore", "MemoryWorklistStore"]
