"""The errors of the numerical core; none of them knows about HTTP, queues or files.

HpcoreError
├── InvalidInput (ValueError)        an argument cannot be used; the message names it in backticks
├── DeviceUnavailable (RuntimeError) the requested device is missing
├── OutOfMemory (MemoryError)        the work does not fit the memory budget or the device
└── TooManyTies (RuntimeError)       the exact average over all trees would need too large a linear system

SmallerParts (UserWarning)           the work fits the device only in smaller parts: the same numbers, later
"""

from __future__ import annotations

__all__ = ["DeviceUnavailable", "HpcoreError", "InvalidInput", "OutOfMemory", "SmallerParts", "TooManyTies"]


class HpcoreError(Exception):
    """Base class of every error raised on purpose by this package."""


class InvalidInput(HpcoreError, ValueError):
    """An argument has a value that no computation can use."""


class DeviceUnavailable(HpcoreError, RuntimeError):
    """The requested device does not exist on this machine."""


class OutOfMemory(HpcoreError, MemoryError):
    """The smallest possible unit of work exceeds the memory budget or the device memory."""


class TooManyTies(HpcoreError, RuntimeError):
    """A set of equally long edges is too large for its exact average; ``ties="first"`` always works."""


class SmallerParts(UserWarning):
    """The memory of the device is too small for parts of the usual size. Results are the same and take longer."""
