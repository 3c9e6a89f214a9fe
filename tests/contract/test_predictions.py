"""Predictions of whole analyses: what must hold whatever the constants are, and what is refused."""

from typing import Any

import pytest

from contract.costs import IDLE_BYTES
from contract.predictions import KnownInput, Limits, predict, require_fit
from contract.schemas import AnalysisRequest, InspectedLayer, Inspection, ProblemError
from contract.shapes import Processor


def request(splits: int = 1, **options: Any) -> AnalysisRequest:
    inputs = [{"artifact": f"sha256:{n:064x}", "split": ("train", "validation")[n]} for n in range(splits)]
    return AnalysisRequest.model_validate({"inputs": inputs, **options})


def known(
    asked: AnalysisRequest, n: int = 100, classes: int = 10, widths: tuple[int, ...] = (64, 512), **options: Any
) -> list[KnownInput]:
    layers = [InspectedLayer(name=f"{i}.d{d}", shape=[n * classes, d], dtype="float32") for i, d in enumerate(widths)]
    counts = {str(number): n for number in range(classes)}
    found = Inspection(rows=n * classes, classes=counts, layers=layers)
    size = sum(4 * n * classes * d for d in widths)
    return [KnownInput(item, found, options.get("format", "npz"), options.get("bytes", size)) for item in asked.inputs]


class TestPredict:
    def test_each_input_and_layer_takes_its_time(self) -> None:
        one, two = request(), request(2)
        whole = predict(two, known(two)).seconds
        assert predict(one, known(one)).seconds < whole / 1.9
        assert predict(two, known(two, widths=(64,))).seconds < whole / 2

    def test_only_the_chosen_layers_count(self) -> None:
        chosen = request(layers={"include": ["*"], "exclude": ["1.*"]})
        found, alone = predict(chosen, known(chosen)), predict(request(), known(request(), widths=(64,)))
        assert (found.layers, found.seconds) == (1, alone.seconds)

    def test_fewer_rows_take_less_of_everything_but_reading(self) -> None:
        whole, drawn = request(), request(sampling={"per_class": 32})
        assert predict(drawn, known(drawn)).seconds < predict(whole, known(whole)).seconds / 2
        assert predict(drawn, known(drawn)).rows_per_class == 32

    @pytest.mark.parametrize(
        "options",
        [
            {"sampling": {"trend": True}},
            {"tests": {"membership": "score"}},
            {"tests": {"membership": "rebuild"}},
            {"tests": {"shift": True}},
            {"sampling": {"per_class": 50, "repeats": 5}},
        ],
    )
    def test_what_is_asked_for_in_addition_takes_more(self, options: dict[str, Any]) -> None:
        plain, more = request(2), request(2, **options)
        if "per_class" in options.get("sampling", {}):
            plain = request(2, sampling={"per_class": 50})
        assert predict(more, known(more)).seconds > predict(plain, known(plain)).seconds

    def test_pages_of_a_mapped_file_are_resident_but_not_allocated(self) -> None:
        asked = request()
        read, mapped = (predict(asked, known(asked, 2000, format=kind)) for kind in ("npz", "safetensors"))
        assert mapped.memory_bytes == pytest.approx(read.memory_bytes, rel=0.01)
        assert mapped.allocated_bytes < read.allocated_bytes == read.memory_bytes

    def test_a_small_file_of_large_arrays_is_unpacked(self) -> None:
        asked = request()
        packed, plain = known(asked, 1000, bytes=1000), known(asked, 1000)
        assert predict(asked, packed).seconds > predict(asked, plain).seconds

    def test_threads_share_the_work_and_a_budget_bounds_the_memory(self) -> None:
        asked = request()
        inputs = known(asked, 1000)
        one, many = predict(asked, inputs), predict(asked, inputs, Processor(8))
        assert one.seconds / 8 <= many.seconds < one.seconds / 4
        assert many.memory_bytes > one.memory_bytes
        assert predict(asked, inputs, Processor(8, 2**24)).memory_bytes < many.memory_bytes


class TestRefusal:
    def limits(self, **changes: Any) -> Limits:
        usual: dict[str, Any] = {"slowness": 1.0, "memory_bytes": 0, "most_seconds": 1e9, "deadline_seconds": 1e9}
        return Limits(Processor(), **{**usual, **changes})

    def refusal(self, **changes: Any) -> str:
        asked = request()
        with pytest.raises(ProblemError) as caught:
            require_fit(predict(asked, known(asked, 1000)), self.limits(**changes))
        assert caught.value.problem.code == "job_too_large"
        return caught.value.problem.detail

    def test_what_fits_is_let_through(self) -> None:
        asked = request()
        require_fit(predict(asked, known(asked)), self.limits(memory_bytes=2**30))

    def test_memory(self) -> None:
        assert "GiB of memory, and a job may use 0.2 GiB" in self.refusal(memory_bytes=2**28 - 2**26)

    def test_time_as_this_installation_needs_it(self) -> None:
        asked = request()
        seconds = predict(asked, known(asked, 1000)).seconds
        require_fit(predict(asked, known(asked, 1000)), self.limits(most_seconds=2 * seconds))
        assert "hours" in self.refusal(most_seconds=2 * seconds, slowness=3.0)
        assert "killed after" in self.refusal(deadline_seconds=0.4 * seconds, divides=False)
        require_fit(predict(asked, known(asked, 1000)), self.limits(deadline_seconds=0.4 * seconds))  # in parts

    def test_what_a_prediction_may_be_wrong_by_is_left(self) -> None:
        asked = request()
        found = predict(asked, known(asked, 1000))
        require_fit(found, self.limits(memory_bytes=int((found.allocated_bytes + IDLE_BYTES) / 1.19)))
        require_fit(found, self.limits(deadline_seconds=found.seconds / 1.9, divides=False))

    def test_pairs_beyond_any_report(self) -> None:
        asked = request()
        with pytest.raises(ProblemError, match="pairs of classes"):
            require_fit(predict(asked, known(asked, 2, classes=4000)), self.limits())
