"""Every chart as SVG and PNG, every table as CSV, over HTTP."""

import csv
import io
import struct
import sys
from xml.etree import ElementTree

import pytest

from tests.service.conftest import History
from tests.service.running import Service


def test_every_chart_that_is_offered_is_there(history: History) -> None:
    offered = history.caller.http.get(f"/v1/analyses/{history.succeeded}/report/charts").json()
    assert {chart["name"] for chart in offered} == {"layers", "pairs"}  # one split, no steps: no gap and no course
    for chart in offered:
        svg = history.caller.http.get(chart["svg"])
        assert svg.headers["Content-Type"] == "image/svg+xml"
        assert ElementTree.fromstring(svg.content).tag.endswith("svg")
        assert "sandbox" in svg.headers["Content-Security-Policy"]
        png = history.caller.http.get(chart["png"])
        assert png.headers["Content-Type"] == "image/png"
        width, height = struct.unpack(">II", png.content[16:24])
        assert png.content.startswith(b"\x89PNG")
        assert min(width, height) > 400


def test_a_chart_of_another_layer_is_another_picture(history: History) -> None:
    url = f"/v1/analyses/{history.succeeded}/report/charts/pairs.svg"
    last, first = history.caller.http.get(url), history.caller.http.get(url, params={"layer": "0.Input"})
    assert "0.Input" in first.text
    assert first.headers["ETag"] != last.headers["ETag"]


@pytest.mark.parametrize(
    ("rest", "status", "said"),
    [
        ("charts/gap.svg", 404, "needs training and validation data"),
        ("charts/training.png", 404, "several training steps"),
        ("charts/layers.svg?network=7", 404, "`network` is 7"),
        ("charts/pairs.svg?layer=no%20such", 404, "no layer"),
        ("charts/else.svg", 404, "no resource"),
        ("charts/layers.gif", 404, "no resource"),
        ("tables/else.csv", 404, "no resource"),
    ],
)
def test_what_there_is_not(history: History, rest: str, status: int, said: str) -> None:
    answer = history.caller.http.get(f"/v1/analyses/{history.succeeded}/report/{rest}")
    assert answer.status_code == status
    assert said in answer.json()["detail"]


def test_without_the_converter_png_is_refused_and_svg_is_not(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    url = f"/v1/analyses/{history.succeeded}/report/charts/layers"
    answer = history.caller.http.get(f"{url}.png")
    assert (answer.status_code, answer.json()["code"]) == (501, "rendering_unavailable")
    assert history.caller.http.get(f"{url}.svg").status_code == 200


@pytest.mark.parametrize(("table", "column"), [("pairs", "cross_edges"), ("tests", "p_adjusted"), ("paper", "table")])
def test_tables_are_csv(history: History, table: str, column: str) -> None:
    answer = history.caller.http.get(f"/v1/analyses/{history.succeeded}/report/tables/{table}.csv")
    assert answer.headers["Content-Type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert rows
    assert column in rows[0]


def test_a_sent_report_has_the_pictures_and_tables_of_the_analysis(service: Service, history: History) -> None:
    http, here = history.caller.http, f"/v1/analyses/{history.succeeded}/report"
    sent = http.post("/v1/reports", content=http.get(here).content, headers={"Content-Type": "application/json"}).json()
    there = f"/v1/reports/{sent['id']}"
    offered = http.get(f"{there}/charts").json()
    assert [chart["name"] for chart in offered] == [chart["name"] for chart in http.get(f"{here}/charts").json()]
    for chart in offered:
        assert http.get(chart["svg"]).content == http.get(chart["svg"].replace(there, here)).content
        assert http.get(chart["png"]).content.startswith(b"\x89PNG")
    for table in ("pairs", "tests", "paper"):
        assert http.get(f"{there}/tables/{table}.csv").text == http.get(f"{here}/tables/{table}.csv").text
    for rest in ("charts", "charts/layers.svg", "tables/tests.csv"):
        stranger = service.caller().http.get(f"{there}/{rest}")
        assert (stranger.status_code, stranger.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("which", ["queued", "failed", "canceled"])
def test_without_a_report_there_is_no_chart(history: History, which: str) -> None:
    url = f"/v1/analyses/{getattr(history, which)}/report"
    for rest in ("charts", "charts/layers.svg", "tables/tests.csv"):
        assert history.caller.http.get(f"{url}/{rest}").status_code == 409


def test_finished_layers_of_a_succeeded_analysis_are_those_of_its_report(history: History) -> None:
    url = f"/v1/analyses/{history.succeeded}"
    layers = history.caller.http.get(f"{url}/layers").json()["separations"]
    assert layers == history.caller.http.get(f"{url}/report").json()["separations"]
    assert history.caller.http.get(f"/v1/analyses/{history.queued}/layers").json() == {"separations": []}
    assert history.caller.http.get("/v1/analyses/an_" + "0" * 30 + "/layers").status_code == 404
