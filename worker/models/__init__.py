"""Models that jobs name: run them on data, and record every layer as a file of activations.

recording.py    in the confined process: one model on one split of the data → one file
batches.py      batch after batch, smaller where memory runs out; the file that they go to
onnx_scan.py    what is in an ONNX file, by a bounded walk over its bytes; refuses before a library sees it
onnx_model.py   its tensors as layers
torch_model.py  the modules of a PyTorch model as layers
registered.py   a registered model, built and given its weights
data.py         inputs and labels by row;  images.py  the formats that images come in
sources.py      in the parent: which files a job's models and data are, hashed and copied
"""
