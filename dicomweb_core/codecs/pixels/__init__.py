"""Codestreams <-> native frames: one frame at a time, bytes in and bytes out, nothing kept (PS3.5 8, A.4)."""
