"""Record what every layer of a PyTorch model does to a data set, as one file of activations.

    from interlayer.record import record

    record(model, loader, "trained-validation.safetensors")

The file holds one network state on one split: an array per layer, and the `labels`. Rows go to disk batch by batch, so
memory is that of one batch, however many layers and rows there are.

    loop.py             `record`: a model, a data loader, a file
    recorder.py         `LayerRecorder`: the forward hooks, for a loop of your own
    forward_pass.py     what is known of the pass that is running
    layer_names.py      what layers are called, and which modules a choice of names means
    row_sample.py       labels, and which rows are kept
    activation_file.py  the safetensors file, written as rows arrive
"""

from interlayer.record.errors import RecordingError
from interlayer.record.loop import record
from interlayer.record.recorder import LayerRecorder, RecordedLayers

__all__ = ["LayerRecorder", "RecordedLayers", "RecordingError", "record"]
