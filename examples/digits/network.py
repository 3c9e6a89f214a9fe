"""The network of the paper, in the size of the digits, and its training."""

import torch
from torch import nn

from examples.digits.data import Split

BATCH_SIZE = 64
LEARNING_RATE = 2e-3
TRAINED_LOSS = 0.005  # mean over an epoch: every label is fitted, true or not, and the softmax is sure of it
MAX_EPOCHS = 200


def digits_network(seed: int) -> nn.Sequential:
    """Give the untrained network of a seed: two blocks of two convolutions, pooling after each, two dense layers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(128, 256),
            nn.ReLU(),
            nn.Linear(256, 10),
            nn.Softmax(dim=1),
        )


def train(network: nn.Sequential, split: Split, seed: int) -> int:
    """Fit the labels of `split` in place, without dropout or augmentation, and give the number of epochs it took."""
    logits = network[:-1]
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    images, labels = torch.from_numpy(split.images), torch.from_numpy(split.labels)
    generator = torch.Generator().manual_seed(seed)
    network.train()
    for epoch in range(1, MAX_EPOCHS + 1):
        total = 0.0
        for rows in torch.split(torch.randperm(len(labels), generator=generator), BATCH_SIZE):
            loss = nn.functional.cross_entropy(logits(images[rows]), labels[rows])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            total += loss.item() * len(rows)
        if total / len(labels) < TRAINED_LOSS:
            return epoch
    return MAX_EPOCHS
