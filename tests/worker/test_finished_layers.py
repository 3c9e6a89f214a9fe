"""The computing child tells of finished layers now and then, without what only the report needs."""

import io

import pytest

from contract.schemas import Separation
from tests.interlayer.render.sample import sample_report
from worker import child
from worker.messages import EVENTS, LayersEvent


def told(layers: list[Separation], monkeypatch: pytest.MonkeyPatch, seconds: float) -> list[LayersEvent]:
    """Return the events of a child that finishes a layer every so many seconds."""
    now = iter(range(10**6))
    monkeypatch.setattr("worker.child.time.monotonic", lambda: next(now) * seconds)
    stream = io.StringIO()
    finished = child.FinishedLayers(child.Emitter(stream))
    for layer in layers:
        finished.add(layer)
    events = [EVENTS.validate_json(line) for line in stream.getvalue().splitlines()]
    assert all(isinstance(event, LayersEvent) for event in events)
    return [event for event in events if isinstance(event, LayersEvent)]


def test_every_layer_is_told_once_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = sample_report(n_layers=9, classes=3, states=("trained",)).separations
    events = told(layers, monkeypatch, 0.2)
    assert len(events) > 1
    number = 0
    for event in events:
        assert event.first == number
        assert event.separations == layers[number : number + len(event.separations)]
        number += len(event.separations)


def test_an_analysis_that_is_over_in_a_moment_tells_of_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(sample_report(n_layers=9, classes=3).separations, monkeypatch, 1e-6) == []


def test_many_pairs_are_left_to_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    (layer,) = sample_report(n_layers=1, classes=30, states=("trained",), splits=("train",)).separations
    (event,) = told([layer], monkeypatch, 9.0)
    (shown,) = event.separations
    assert shown.pairs.statistic == []
    assert (shown.mean, shown.quantiles) == (layer.mean, layer.quantiles)
