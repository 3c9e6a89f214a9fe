"""What can go wrong in a recording."""


class RecordingError(ValueError):
    """The model, the data or the choice of layers cannot be recorded; the message says what to change."""
