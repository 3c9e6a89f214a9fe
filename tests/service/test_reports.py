"""Reports in every form, and what is said where there is none."""

import csv
import hashlib
import io
import json

import pytest

from contract.schemas import Report
from tests.service.conftest import History

JSON, HTML, MARKDOWN, CSV = "application/json", "text/html", "text/markdown", "text/csv"
JUNIT, SARIF = "application/xml", "application/sarif+json"
FORMS = [("json", JSON), ("html", HTML), ("md", MARKDOWN), ("csv", CSV), ("xml", JUNIT), ("sarif", SARIF)]


def test_the_report_is_the_stored_one(history: History) -> None:
    answer = history.caller.http.get(f"/v1/analyses/{history.succeeded}/report")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == JSON
    assert answer.headers["ETag"] == f'"{hashlib.sha256(answer.content).hexdigest()}-json"'
    report = Report.model_validate_json(answer.content)
    assert report.layers == ["0.Input", "1.Conv", "2.Softmax"]
    assert report.provenance.inputs[0].sha256 == history.artifact.removeprefix("sha256:")
    path = history.caller.http.get(f"/v1/analyses/{history.succeeded}").json()["report"]
    assert history.caller.http.get(path).content == answer.content


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("*/*", JSON),
        (JSON, JSON),
        ("application/*", JSON),
        ("text/html", HTML),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", HTML),
        ("TEXT/HTML", HTML),
        ("text/markdown;q=0.5, text/csv;q=0.9", CSV),
        ("text/markdown", MARKDOWN),
        ("text/*", HTML),
        ("application/xml", JUNIT),
        ("application/sarif+json, application/json;q=0.5", SARIF),
        ("text/html;q=0, */*", JSON),
        ("application/json;q=0, */*", HTML),
        ("application/json;q=0.2, text/*;q=0.3, text/html;q=0.1", MARKDOWN),
        ("image/png, text/csv;q=0.1", CSV),
        ("text/html;level=1;q=0.3, application/json;q=0.4", JSON),
        ("text/html;q=banana", HTML),
        ("", JSON),
    ],
)
def test_accept_decides(history: History, accept: str, expected: str) -> None:
    answer = history.caller.http.get(f"/v1/analyses/{history.succeeded}/report", headers={"Accept": accept})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].split(";")[0] == expected
    assert answer.headers["Vary"] == "Accept"


@pytest.mark.parametrize("accept", ["image/png", "text/html;q=0", "*/*;q=0", "nonsense", "application/pdf"])
def test_a_form_that_does_not_exist(history: History, accept: str) -> None:
    answer = history.caller.http.get(f"/v1/analyses/{history.succeeded}/report", headers={"Accept": accept})
    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")


@pytest.mark.parametrize(("suffix", "media_type"), FORMS)
def test_a_suffix_decides_too(history: History, suffix: str, media_type: str) -> None:
    url = f"/v1/analyses/{history.succeeded}/report"
    answer = history.caller.http.get(f"{url}.{suffix}", headers={"Accept": "image/png"})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].split(";")[0] == media_type
    assert answer.content == history.caller.http.get(url, headers={"Accept": media_type}).content
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    disposition = "inline" if suffix == "html" else "attachment"
    assert answer.headers["Content-Disposition"] == f'{disposition}; filename="{history.succeeded}.{suffix}"'
    assert ("sandbox" in answer.headers.get("Content-Security-Policy", "")) == (suffix == "html")


@pytest.mark.parametrize("suffix", ["pdf", "JSON", "json.html", "../report.json", "%00"])
def test_an_unknown_suffix(history: History, suffix: str) -> None:
    answer = history.caller.http.get(f"/v1/analyses/{history.succeeded}/report.{suffix}")
    assert answer.status_code in (404, 406)
    assert answer.json()["code"] in ("not_found", "not_acceptable")


def test_the_renderings_hold_the_numbers(history: History) -> None:
    url = f"/v1/analyses/{history.succeeded}/report"
    report = json.loads(history.caller.http.get(f"{url}.json").content)
    rows = list(csv.DictReader(io.StringIO(history.caller.http.get(f"{url}.csv").text)))
    assert {row["layer"] for row in rows} >= set(report["layers"])
    assert "2.Softmax" in history.caller.http.get(f"{url}.md").text
    assert history.caller.http.get(f"{url}.html").text.lower().startswith("<!doctype html>")


@pytest.mark.parametrize("suffix", ["", ".json", ".html"])
@pytest.mark.parametrize(
    ("which", "code"),
    [("queued", "not_finished"), ("failed", "analysis_failed"), ("canceled", "analysis_canceled")],
)
def test_an_analysis_without_a_report(history: History, which: str, code: str, suffix: str) -> None:
    answer = history.caller.http.get(f"/v1/analyses/{getattr(history, which)}/report{suffix}")
    assert (answer.status_code, answer.json()["code"]) == (409, code)
    if which == "failed":
        assert "9.Nothing" in answer.json()["detail"]


@pytest.mark.parametrize(
    "path",
    [
        *("report", "report.html", "report.csv", "report.sarif"),
        *("report/charts/pairs.svg", "report/tables/pairs.csv"),
    ],
)
def test_who_has_a_form_already_is_told_so(history: History, path: str) -> None:
    get, url = history.caller.http.get, f"/v1/analyses/{history.succeeded}/{path}"
    first = get(url)
    assert first.status_code == 200, first.text
    etag = first.headers["ETag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = get(url, headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b""), known
        assert again.headers["ETag"] == etag
        assert again.headers.get("Vary") == first.headers.get("Vary")
        assert not {"Content-Type", "Content-Length", "Content-Disposition"} & set(again.headers)
    for unknown in ('"other"', etag.strip('"'), "", f'"x{etag.strip(chr(34))}"'):
        again = get(url, headers={"If-None-Match": unknown})
        assert (again.status_code, again.content) == (200, first.content), unknown


def test_the_forms_of_a_report_have_tags_of_their_own(history: History) -> None:
    url = f"/v1/analyses/{history.succeeded}/report"
    etags = {suffix: history.caller.http.get(f"{url}.{suffix}").headers["ETag"] for suffix, _ in FORMS}
    assert len(set(etags.values())) == len(FORMS)
    answer = history.caller.http.get(f"{url}.html", headers={"If-None-Match": etags["json"]})
    assert answer.status_code == 200, "that is another form of it"


def test_what_is_not_there_stays_an_error(history: History) -> None:
    get = history.caller.http.get
    assert get(f"/v1/analyses/{history.failed}/report", headers={"If-None-Match": "*"}).status_code == 409
    assert get("/healthz", headers={"If-None-Match": "*"}).status_code == 200, "it has no tag"
