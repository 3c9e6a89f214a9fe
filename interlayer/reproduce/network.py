"""The network of the paper and its training. Imports PyTorch: import it on use."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from interlayer.reproduce.experiments import Architecture, Training
from interlayer.reproduce.images import Images


def untrained_network(architecture: Architecture, shape: tuple[int, ...], n_classes: int, seed: int) -> nn.Sequential:
    """Return the network for images of `shape` (channels, height, width), its weights drawn as Keras draws them."""
    channels, *size = shape
    layers: list[nn.Module] = []
    for width, dropout in zip(architecture.filters, architecture.dropout, strict=False):
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
        layers += [nn.Conv2d(width, width, 3, padding=int(architecture.padded)), nn.ReLU()]
        layers += [nn.MaxPool2d(2), nn.Dropout(dropout)]
        channels = width
        size = [(extent if architecture.padded else extent - 2) // 2 for extent in size]
    features = channels * math.prod(size)
    layers += [nn.Flatten(), nn.Linear(features, architecture.hidden), nn.ReLU(), nn.Dropout(architecture.dropout[-1])]
    layers += [nn.Linear(architecture.hidden, n_classes), nn.Softmax(dim=1)]
    network = nn.Sequential(*layers)
    generator = torch.Generator().manual_seed(seed)
    for layer in network:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return network


def train(
    network: nn.Sequential, data: Images, training: Training, seed: int, on_epoch: Callable[[int, float], None]
) -> int:
    """Train in place, and return the number of epochs; `on_epoch` is told of each, with its mean loss."""
    device = next(network.parameters()).device
    logits = network[:-1]  # the loss has the softmax in it
    optimizer = _optimizer(network, training)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + training.learning_rate_decay * step))
    images, labels = torch.from_numpy(data.images), torch.from_numpy(data.labels)
    order = np.random.default_rng(seed)
    network.train()
    # The masks of dropout are drawn from the global generator.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        for epoch in range(1, training.max_epochs + 1):
            total = 0.0
            for rows in torch.split(torch.from_numpy(order.permutation(len(labels))), training.batch_size):
                loss = nn.functional.cross_entropy(logits(images[rows].to(device)), labels[rows].to(device))
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                optimizer.step()
                schedule.step()
                total += loss.item() * len(rows)
            on_epoch(epoch, total / len(labels))
            if total / len(labels) < training.trained_loss:
                return epoch
    return training.max_epochs


def _optimizer(network: nn.Module, training: Training) -> torch.optim.Optimizer:
    if training.optimizer == "adam":
        return torch.optim.Adam(network.parameters(), lr=training.learning_rate)
    # The smoothing and the epsilon of Keras, which are not those of PyTorch.
    return torch.optim.RMSprop(network.parameters(), lr=training.learning_rate, alpha=0.9, eps=1e-7)
