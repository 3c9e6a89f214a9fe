"""Record what every layer of a PyTorch model does to a data set, as one file of activations.

    from interlayer.record import record

    record(model, loader, "trained-validation.safetensors")

The file holds one network state on one split: an array per layer, and the `labels`. Rows go to disk batch by batch, so
memory is that of one batch, however many layers and rows there are.

    loop.py             `record`: a model, a data loader, a file
    recorder.py         `LayerRecorder`: the forward hooks, for a loop of your own
    series.py           `RecordedSeries`: the steps of a training run; `submit_recordings`
    lightning.py, hugging_face.py   callbacks that record a series
    model_modes.py      evaluation mode, random state, compiled models: what is set for a recording and given back
    forward_pass.py     what is known of the pass that is running
    layer_names.py      which modules a choice of names means; `contract.layer_calls` says which calls are layers
    token_pooling.py    what becomes of the tokens of a transformer
    kept_rows.py        from a tensor to the rows that are written
    row_sample.py       labels, and which rows are kept
    activation_file.py  the safetensors file, written as rows arrive
"""

from interlayer.record.errors import RecordingError
from interlayer.record.loop import record
from interlayer.record.recorder import LayerRecorder, RecordedLayers
from interlayer.record.series import RecordedSeries, submit_recordings

__all__ = ["LayerRecorder", "RecordedLayers", "RecordedSeries", "RecordingError", "record", "submit_recordings"]
