"""A study of real handwritten digits: true labels, random labels and noisy images.

    python -m examples.digits

Small networks with the paper's list of layers are trained here, the activations of every layer are recorded before and
after training, and a service started for the occasion analyses them.

    data.py         the images, the split, and what each study changes
    network.py      the network and its training
    activations.py  files of activations of every network state on every split, cached
    analysis.py     the requests, and the service they are sent to
"""
