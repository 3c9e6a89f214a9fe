"""Bytes go to the disk while more of them come, so that who waits for the last waits for few."""

import ctypes

_STEP_BYTES = 4 * 2**20
_BEGIN = 2  # SYNC_FILE_RANGE_WRITE: begin to write what is dirty, and wait for nothing
# Linux alone has it; elsewhere the kernel begins when it likes.
_sync_file_range = getattr(ctypes.CDLL(None), "sync_file_range", None)
if _sync_file_range is not None:
    _sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


class Writeback:
    """What of one file, which is written from some byte on, the kernel has been asked to write. Only a hint."""

    def __init__(self, file: int, position: int = 0) -> None:
        self._file, self._begun = file, position

    def reached(self, position: int) -> None:
        """Note that the file is written up to `position`."""
        length = position - self._begun
        if length >= _STEP_BYTES and _sync_file_range is not None:
            _sync_file_range(self._file, self._begun, length, _BEGIN)
            self._begun = position
