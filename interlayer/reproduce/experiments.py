"""What each experiment trains on, which network it trains, and how."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from contract.schemas import Split, State

Source = Literal["cifar10", "mnist", "digits"]
Column = Literal["cifar10_random", "cifar10_true", "mnist_true"]

STATES: tuple[State, ...] = ("untrained", "trained")
SPLITS: tuple[Split, ...] = ("train", "validation")

LAYERS = (
    "0.Input", "1.Conv", "1.ReLU", "2.Conv", "2.ReLU", "2.MaxPool", "3.Conv", "3.ReLU", "4.Conv", "4.ReLU",
    "4.MaxPool", "5.Dense", "5.ReLU", "6.Dense", "6.Softmax",
)  # fmt: skip

# The blocks of layers that the paper tests as a whole: in eight steps (S-4, S-7) and in four (S-5, S-8).
EIGHT_BLOCKS, FOUR_BLOCKS = "eight blocks", "four blocks"
BLOCKS: Mapping[str, tuple[str, ...]] = {
    EIGHT_BLOCKS: (
        "0.Input", "1.ReLU", "2.ReLU", "2.MaxPool", "3.ReLU", "4.ReLU", "4.MaxPool", "5.ReLU", "6.Softmax",
    ),
    FOUR_BLOCKS: ("0.Input", "2.MaxPool", "4.MaxPool", "5.ReLU", "6.Softmax"),
}  # fmt: skip


@dataclass(frozen=True)
class Architecture:
    """Two blocks of two convolutions (3 by 3) with pooling, then two dense layers.

    `padded` says whether the second convolution of a block keeps the size of the image; `dropout` is the rate after
    each pooling and before the last layer.
    """

    filters: tuple[int, int] = (32, 64)
    hidden: int = 512
    padded: bool = False
    dropout: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Training:
    """How a network is trained; it ends at `max_epochs`, or when an epoch's mean loss is below `trained_loss`.

    `n_threads` is what PyTorch may use on the CPU; None leaves it what it is.
    """

    optimizer: Literal["rmsprop", "adam"]
    learning_rate: float
    batch_size: int
    max_epochs: int
    trained_loss: float
    learning_rate_decay: float = 0.0
    n_threads: int | None = None


@dataclass(frozen=True)
class Experiment:
    """One data set with one kind of labels, and the networks trained on it.

    `column` is the experiment of the paper that this one is, or stands for in small. `noise` is the standard deviation
    of Gaussian noise added once to pixels in [0, 1]. `per_class` is the number of images of each class that are
    analysed, of each split; fewer where a split has fewer.
    """

    name: str
    description: str
    source: Source
    column: Column
    architecture: Architecture
    training: Training
    random_labels: bool = False
    noise: float = 0.0
    per_class: int = 1000

    @property
    def is_the_papers(self) -> bool:
        """Whether this is the paper's own experiment rather than one that stands for it."""
        return self.source != "digits"


# The layers are those of the Keras example `cifar10_cnn`, whose widths and optimizer are taken too: the paper does not
# print its own. Random labels are fitted without dropout, which would keep the network from memorizing them.
_KERAS_DROPOUT = (0.25, 0.25, 0.5)
_KERAS = Training("rmsprop", 1e-4, 32, max_epochs=100, trained_loss=0.005, learning_rate_decay=1e-6)
# In the size of the digits: a fiftieth of the images makes few steps an epoch, so there are more epochs and a larger
# rate. More threads would only wait for each other.
_SMALL = Architecture(filters=(8, 32), padded=True)
_SMALL_WITH_DROPOUT = Architecture(filters=(8, 32), padded=True, dropout=_KERAS_DROPOUT)
_MEMORIZING = Training("rmsprop", 3e-4, 32, max_epochs=400, trained_loss=0.005, n_threads=1)
_LEARNING = Training("rmsprop", 3e-4, 32, max_epochs=150, trained_loss=0.005, n_threads=1)

EXPERIMENTS: Mapping[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        Experiment(
            "cifar10-random", "CIFAR-10, labels permuted anew for each instance", "cifar10", "cifar10_random",
            Architecture(), _KERAS, random_labels=True,
        ),
        Experiment(
            "cifar10-true", "CIFAR-10", "cifar10", "cifar10_true", Architecture(dropout=_KERAS_DROPOUT), _KERAS,
        ),
        Experiment("mnist", "MNIST", "mnist", "mnist_true", Architecture(dropout=_KERAS_DROPOUT), _KERAS),
        Experiment(
            "digits-random", "scikit-learn's digits, labels permuted anew for each instance", "digits",
            "cifar10_random", _SMALL, _MEMORIZING, random_labels=True,
        ),
        Experiment("digits-true", "scikit-learn's digits, nearly separable as they are", "digits", "mnist_true",
                   _SMALL_WITH_DROPOUT, _LEARNING),
        Experiment("digits-noisy", "scikit-learn's digits under noise, where the layers have work to do", "digits",
                   "cifar10_true", _SMALL_WITH_DROPOUT, _LEARNING, noise=0.9),
    )
}  # fmt: skip
