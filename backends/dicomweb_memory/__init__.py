"""An instance store in memory: the simplest correct one."""

from dicomweb_memory.instances import MemoryInstanceStore

__all__ = ["MemoryInstanceStore"]
