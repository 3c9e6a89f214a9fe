"""What a reader is told: titles, how to read each picture, and what each test assumes."""

from collections.abc import Mapping
from dataclasses import dataclass

from contract.schemas import Finding, Report, Separation
from interlayer.render.networks import Network
from interlayer.render.text import count, visible

PAPER = "https://arxiv.org/abs/1907.04223"

CAUTION = (
    "The statistic measures the separation that nearest neighbours can see in this many samples: no layer adds "
    "information, and values at different sample sizes do not compare."
)

STATE = {"trained": "Trained", "untrained": "Untrained"}
SPLIT = {"train": "training", "validation": "validation"}
POOLING = {"none": "all side by side", "mean": "their mean", "cls": "the first"}
PAIR_MARKS = {
    "dots": ("dot: a pair of classes", "box: the middle half and the median"),
    "whiskers": ("thin line: from the lowest to the highest pair", "box: the middle half and the median"),
    "bands": ("pale band: from the lowest to the highest pair", "darker band: the middle half"),
}
SEVERITY = {"error": "Serious", "warning": "Notable", "info": "Found"}

ESTIMAND = {
    "these_classes": "new samples of these classes, as many as here",
    "population_of_classes": "the population of classes that these are a sample of",
    "exchangeable_pairs": "class pairs that could be exchanged between the two sides",
    "exchangeable_membership": "samples that could be exchanged between training and validation",
}


@dataclass(frozen=True)
class Method:
    """A test as a column: its heading and what it assumes."""

    heading: str
    assumes: str


METHODS = {
    "subsample": Method(
        "subsample\N{NO-BREAK SPACE}t",
        "for these very classes and new samples of them, as many as here; the variance comes from the same contrast on "
        "random folds of the samples, t with 10 degrees of freedom. Conditional on the network.",
    ),
    "class_jackknife": Method(
        "class jackknife",
        "for a population of classes of which these are a sample; leaves out one class at a time, so it needs many "
        "classes to find anything.",
    ),
    "permutation": Method(
        "paper's permutation",
        "if class pairs were independent and could be exchanged between the two sides, as the paper assumes. Pairs "
        "that share a class are correlated, so it rejects too often where all pairs are alike.",
    ),
    "membership": Method(
        "membership permutation",
        "if samples of a class that were trained on could be exchanged with those that were not, as where nothing was "
        "memorized; all trees are built anew for every exchange.",
    ),
    "membership_score": Method(
        "membership score",
        "if samples of a class that were trained on could be exchanged with those that were not, as where nothing was "
        "memorized; over fixed trees, it compares how many neighbours are of another class, not the gap itself.",
    ),
}

SHIFT = Method(
    "shift",
    "for independent samples: do training and validation samples of a class differ at all? A large z says that they "
    "do; without a gap this is a difference of the data and no memorization. Its p is not adjusted.",
)


@dataclass(frozen=True)
class Section:
    """A part of the page: its title and how to read it."""

    title: str
    how_to_read: str


SECTIONS = {
    "layers": Section(
        "Class separation, layer by layer",
        "Every value is one pair of classes: 0 means the layer mixes the two classes at random, 1 that it sets them "
        "fully apart. Follow the line of means from left to right: where it rises, a layer did work; where training "
        "and validation part, that work holds for the training samples only.",
    ),
    "gap": Section(
        "Training minus validation",
        "Each mark is the mean separation on training samples minus that on validation samples. A bar that stays clear "
        "of zero says that the network separates samples it has seen better than new ones.",
    ),
    "training": Section(
        "Class separation over training",
        "One layer at a time, from the first step to the last; in the tables below, every layer is a row and every "
        "step a column, coloured from 0 (dark) to 1 (bright). Where validation stops while training still rises, the "
        "network begins to fit its training samples alone.",
    ),
    "steps": Section(
        "What each layer adds",
        "Δ is the change of the mean separation from one layer to the next, drawn with its interval; bars of all "
        "these tables share one scale. Stars mark the adjusted p-value of the first test: * below 0.05, ** below "
        "0.01, *** below 0.001.",
    ),
    "blocks": Section(
        "What each block of layers adds",
        "The same change over a whole block: it is exactly the sum of the changes of the layers in it.",
    ),
    "adaptation": Section(
        "What training changed",
        "Δ is the trained network's mean separation at a layer minus that of its untrained twin. Layers near zero "
        "could have stayed as they were initialized.",
    ),
    "consistency": Section(
        "Where training and validation part",
        "Δ is the change of a layer step on training samples minus the change of the same step on validation samples. "
        "Steps clear of zero are the ones that fit the training samples in particular.",
    ),
    "trust": Section(
        "Can these numbers be trusted?",
        "The statistic is biased towards zero, the more the fewer the samples and the more dimensions a layer has. So "
        "compare layers at one number of samples, and take no difference seriously that another draw could undo.",
    ),
    "pairs": Section(
        "Class pairs",
        "Each cell is one pair of classes at one layer: training above the diagonal, validation below. The colour "
        "scale is the same everywhere, 0 to 1; values outside it keep the end colour and their own number. In the "
        "scatter, pairs below the dashed line are separated better on training than on validation data.",
    ),
    "provenance": Section("Where these numbers come from", ""),
}

# The section that shows what a finding says; the others speak of the levels of the layers.
_SHOWN_IN = {
    "memorization": "gap",
    "generalization_gap": "gap",
    "adaptation": "adaptation",
    "no_adaptation": "adaptation",
    "idle_layers": "steps",
    "losing_layers": "steps",
    "shift": "gap",
    "small_sample": "trust",
    "unequal_classes": "trust",
    "worst_class_pairs": "pairs",
}


def section_of(finding: Finding) -> str:
    """Return the section that shows what a finding says, in a report that has it."""
    return _SHOWN_IN.get(finding.code, "layers")


def shown_in(finding: Finding, sections: Mapping[str, str]) -> str | None:
    """Return the section that a finding is linked to, among those the page has."""
    wanted = section_of(finding)
    return wanted if wanted in sections else "layers" if "layers" in sections else None


def link_to(section: str) -> str:
    """Return the text of a link to a section; a title that is a question stays one."""
    title = SECTIONS[section].title
    return title if title.endswith("?") else f"See {title.lower()}"


def method(name: str) -> Method:
    """Return heading and assumption of a test; one that this version does not know keeps its name."""
    return METHODS.get(name) or Method(visible(name).replace("_", " "), "what the report's documentation says of it.")


def network_name(network: Network) -> str:
    """Return what tells a network from the others of the report."""
    name = f"Instance {visible(network.instance)}"
    return name if network.step is None else f"{name}, step {network.step:,}"


def sample_size(part: Separation) -> str:
    """Return n of one separation in words."""
    low, high = (min(part.n_per_class), max(part.n_per_class)) if part.n_per_class else (0, 0)
    rows = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return f"{count(len(part.pairs.statistic), 'class pair')}, {rows} samples per class"


def interval_of(part: Separation) -> str:
    """Return which interval goes with a mean, and what it speaks about."""
    bounds = part.interval
    return f"{bounds.level:.0%} interval for {ESTIMAND[bounds.estimand]}"


def summary(report: Report) -> str:
    """Return the study in one line."""
    found = list(dict.fromkeys(part.instance for part in report.separations))
    parts = [count(len(report.classes), "class", "classes"), count(len(report.layers), "layer")]
    if report.separations:
        sizes = [size for part in report.separations for size in part.n_per_class]
        if sizes:
            low, high = min(sizes), max(sizes)
            parts.append(f"{low:,} samples per class" if low == high else f"{low:,} to {high:,} samples per class")
    parts.append(count(len(found), "network instance"))
    parts.append(f"{report.provenance.metric} distance")
    return " · ".join(parts)
