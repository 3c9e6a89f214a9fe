"""Reports that are kept, the baselines that name them, and a second try, on pages without a script."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.interlayer.render.sample import sample_report
from tests.pages.browser import Theme, Visitor, visiting
from tests.pages.conftest import Lab
from tests.service.running import Caller


@pytest.fixture
def plain(browser: Browser) -> Iterator[Visitor]:
    """Somebody whose browser runs no scripts."""
    with visiting(browser, script=False) as window:
        yield window


def push(caller: Caller, seed: int) -> str:
    content = sample_report(n_layers=3, classes=3, seed=seed).model_dump_json(by_alias=True)
    answer = caller.http.post("/v1/reports", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def test_a_report_that_was_sent_is_listed_shown_and_blessed(lab: Lab, plain: Visitor) -> None:
    caller, page = lab.service.caller(), plain.page
    first, second = push(caller, 1), push(caller, 2)
    plain.sign_in(lab.url, caller.key)
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Reports").click()
    page.get_by_role("link", name=f"…{first[-6:]}").click()
    expect(page.get_by_role("heading", name="Class separation, layer by layer")).to_be_visible()
    assert page.request.get(page.get_by_role("link", name="JSON").evaluate("link => link.href")).ok
    page.get_by_label("Name").fill("main")
    page.get_by_label("Why").fill("<b>first</b> release")
    page.get_by_role("button", name="Bless").click()
    page.wait_for_url("**/baselines/main")
    expect(page.get_by_role("cell", name="<b>first</b> release")).to_be_visible()
    # Of a name that is taken, it is first said what it means.
    plain.open(f"{lab.url}/reports/{second}")
    page.get_by_label("Name").fill("main")
    page.get_by_role("button", name="Bless").click()
    expect(page.get_by_role("heading", name="Change the baseline main?")).to_be_visible()
    assert caller.http.get("/v1/baselines/main").json()["report"]["id"] == first
    page.get_by_role("button", name="Change the baseline").click()
    page.wait_for_url("**/baselines/main")
    assert caller.http.get("/v1/baselines/main").json()["report"]["id"] == second
    plain.open(f"{lab.url}/reports")
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="main", exact=True))
    expect(row).to_contain_text("test")
    expect(row.locator("time")).to_have_count(1)
    row.get_by_role("link", name="Compare with it").click()
    expect(page.locator("#base")).to_have_value("main")


def test_a_policy_judges_a_report_on_its_page(lab: Lab, plain: Visitor) -> None:
    caller, page = lab.service.caller(scopes=("read", "submit")), plain.page
    report = push(caller, 1)  # of a network that memorized
    body = {"report": report, "note": ""}
    caller.http.put("/v1/baselines/main", json=body, headers={"If-None-Match": "*"}).raise_for_status()
    plain.sign_in(lab.url, lab.service.caller(caller.tenant, scopes=("read",)).key)  # nothing is changed by it
    plain.open(f"{lab.url}/reports/{report}")
    policy = page.get_by_label("Policy, as YAML")
    expect(policy).to_have_value(re.compile("^# |version: 1"))
    page.get_by_role("button", name="Judge").click()
    expect(page.get_by_role("heading", name="Audit violated: 4 rules")).to_be_visible()
    rule = page.locator(".rules > li").filter(has_text="generalizes")
    expect(rule).to_contain_text("? inconclusive")  # the sample has no folds
    rule.get_by_role("link").click()
    assert page.url.endswith("#gap")
    change = "version: 1\nrules: [{id: <steady>, check: change, split: train, max_drop: 0.03}]\n"
    policy.fill(change)
    page.get_by_role("button", name="Judge").click()
    expect(page.get_by_role("alert")).to_contain_text("interlayer.yaml:2: rules.0.id")
    policy.fill(change.replace("<steady>", "steady"))
    page.get_by_role("button", name="Judge").click()
    expect(page.get_by_role("heading", name="Audit inconclusive: 1 rule")).to_be_visible()
    page.get_by_label("Compared with").select_option("main")
    page.get_by_role("button", name="Judge").click()
    expect(page.get_by_role("heading", name="Audit passed: 1 rule")).to_be_visible()
    assert "steady" in policy.input_value()
    policy.fill("repeat: 3\n" + policy.input_value())
    page.get_by_role("button", name="Judge").click()
    expect(page.get_by_role("alert")).to_contain_text("run `interlayer audit`")
    stranger = lab.service.caller().http.post(f"/reports/{report}", data={"policy": change})
    assert stranger.status_code in (303, 401, 403, 404)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_verdict_is_readable(lab: Lab, browser: Browser, theme: Theme) -> None:
    caller = lab.service.caller()
    report = push(caller, 1)
    with visiting(browser, theme=theme, width=390) as visitor:
        visitor.sign_in(lab.url, caller.key)
        visitor.open(f"{lab.url}/reports/{report}")
        visitor.page.get_by_role("button", name="Judge").click()
        expect(visitor.page.get_by_role("heading", name="Audit violated")).to_be_visible()
        assert visitor.violations() == []
        assert not visitor.is_too_wide()
        assert visitor.complaints == []


def test_who_looked_too_long_overrules_nobody(lab: Lab, plain: Visitor) -> None:
    caller, page = lab.service.caller(), plain.page
    first, second, third = (push(caller, seed) for seed in (1, 2, 3))
    bless(caller, first, **{"If-None-Match": "*"})
    plain.sign_in(lab.url, caller.key)
    plain.open(f"{lab.url}/reports/{second}")
    page.get_by_label("Name").fill("main")
    page.get_by_role("button", name="Bless").click()
    bless(caller, third, **{"If-Match": "*"})
    page.get_by_role("button", name="Change the baseline").click()
    expect(page.get_by_role("alert")).to_contain_text("baseline_changed")
    assert caller.http.get("/v1/baselines/main").json()["report"]["id"] == third


def bless(caller: Caller, report: str, **headers: str) -> None:
    caller.http.put("/v1/baselines/main", json={"report": report}, headers=headers).raise_for_status()


def test_the_report_of_an_analysis_is_blessed_and_a_name_given_up(lab: Lab, plain: Visitor) -> None:
    page = plain.page
    plain.sign_in(lab.url, lab.caller.key)
    plain.open(f"{lab.url}/analyses/{lab.succeeded}/report")
    page.get_by_label("Name").fill("from-analysis")
    page.get_by_role("button", name="Bless").click()
    page.wait_for_url("**/baselines/from-analysis")
    plain.open(f"{lab.url}/analyses/{lab.succeeded}/report")
    page.get_by_role("link", name="from-analysis").click()
    page.get_by_role("button", name="Give up").click()
    page.wait_for_url("**/reports")
    expect(page.get_by_role("link", name="from-analysis")).to_have_count(0)
    plain.open(f"{lab.url}/baselines/from-analysis")
    expect(page.get_by_role("row")).to_have_count(3)


def test_a_wrong_name_is_refused_in_words(lab: Lab, plain: Visitor) -> None:
    plain.sign_in(lab.url, lab.caller.key)
    origin = {"Origin": lab.url}
    for name, reference in (("../up", lab.succeeded), ("", lab.succeeded), ("good", "rp_no"), ("good", "")):
        answer = plain.context.request.post(
            f"{lab.url}/baselines", form={"name": name, "reference": reference}, headers=origin
        )
        assert answer.status == 422
        assert "invalid_request" in answer.text()


def test_a_reader_may_look_and_not_bless(lab: Lab, plain: Visitor) -> None:
    report = push(lab.caller, 4)
    plain.sign_in(lab.url, lab.service.caller("lab", ("read",)).key)
    plain.open(f"{lab.url}/reports/{report}")
    expect(plain.page.get_by_role("button", name="Bless")).to_have_count(0)
    answer = plain.context.request.post(
        f"{lab.url}/baselines", form={"name": "mine", "reference": report}, headers={"Origin": lab.url}
    )
    assert answer.status == 403


def test_another_tenant_sees_neither_reports_nor_baselines(lab: Lab, plain: Visitor) -> None:
    caller = lab.service.caller()
    report = push(caller, 5)
    bless(caller, report, **{"If-None-Match": "*"})
    plain.sign_in(lab.url, lab.service.caller().key)
    for path in (f"/reports/{report}", "/baselines/main"):
        assert plain.open(lab.url + path) == 404
    plain.open(f"{lab.url}/reports")
    expect(plain.page.get_by_role("heading", name="No report kept yet")).to_be_visible()


def test_what_failed_is_tried_again_once(lab: Lab, plain: Visitor) -> None:
    page = plain.page
    plain.sign_in(lab.url, lab.caller.key)
    path = f"{lab.url}/analyses/{lab.failed}"
    plain.open(path)
    page.get_by_role("button", name="Try again").click()
    page.wait_for_url(re.compile(f"/analyses/an_(?!{lab.failed[3:]})"))
    again = page.url
    plain.open(path)
    page.get_by_role("button", name="Try again").click()
    page.wait_for_url(again)
    plain.open(f"{lab.url}/analyses/{lab.succeeded}")
    expect(page.get_by_role("button", name="Try again")).to_have_count(0)
    expect(page.get_by_text("Computed on cpu.")).to_be_visible()
    refused = plain.context.request.post(f"{path}/retry", headers={"Origin": "https://evil.example"})
    assert refused.status == 403


def test_what_a_model_takes_is_not_guessed(lab: Lab, plain: Visitor) -> None:
    plain.sign_in(lab.url, lab.caller.key)
    form: dict[str, str | float | bool] = {"model-0": "name:any", "data-0": "name:any", "action": "estimate"}
    answer = plain.context.request.post(f"{lab.url}/analyses/new", form=form, headers={"Origin": lab.url})
    assert answer.status == 200
    assert "shows once it runs" in answer.text()
