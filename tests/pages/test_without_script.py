"""Everything that matters works where scripts are off."""

from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.pages.browser import visiting
from tests.pages.conftest import Lab
from tests.service.running import npz_bytes
from tests.worker.jobs import work_off


def test_upload_start_and_report_without_script(lab: Lab, browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "plain.npz"
    path.write_bytes(npz_bytes(11))
    caller = lab.service.caller()
    with visiting(browser, script=False) as visitor:
        page = visitor.page
        visitor.sign_in(lab.url, caller.key)
        visitor.open(f"{lab.url}/files")
        page.get_by_label("Choose a file").set_input_files(path)
        page.get_by_role("button", name="Upload").click()
        expect(page.get_by_text("plain.npz")).to_be_visible()
        work_off(lab.service.settings, lab.service.stores.database)
        visitor.open(f"{lab.url}/analyses/new")
        page.get_by_role("combobox", name="plain.npz used as").select_option("trained-train")
        page.get_by_role("button", name="Estimate").click()
        expect(page.get_by_role("heading", name="What it would take")).to_be_visible()
        expect(page.get_by_role("combobox", name="plain.npz used as")).to_have_value("trained-train")
        page.get_by_role("button", name="Start the analysis").click()
        assert page.locator("noscript meta[http-equiv=refresh]").count() or "http-equiv" in page.content()
        work_off(lab.service.settings, lab.service.stores.database)
        page.reload()
        page.get_by_role("link", name="Open the report").click()
        table = page.get_by_role("table").first
        expect(page.get_by_role("heading", name="Class separation, layer by layer")).to_be_visible()
        assert table.locator("tbody tr").count() > 0
        for network in page.locator(".network").all():
            expect(network).to_be_visible()


def test_what_is_wrong_is_said_and_what_was_filled_in_stays(lab: Lab, browser: Browser) -> None:
    with visiting(browser, script=False) as visitor:
        page = visitor.page
        visitor.sign_in(lab.url, lab.caller.key)
        visitor.open(f"{lab.url}/analyses/new")
        page.get_by_role("button", name="Start the analysis").click()
        expect(page.get_by_role("alert")).to_contain_text("choose at least one file")
        page.get_by_label("Samples per class").fill("1")
        page.get_by_role("combobox", name="used as").first.select_option("untrained-validation")
        page.get_by_role("button", name="Start the analysis").click()
        expect(page.get_by_role("alert")).to_contain_text("per_class")
        expect(page.get_by_label("Samples per class")).to_have_value("1")
        expect(page.get_by_role("combobox", name="used as").first).to_have_value("untrained-validation")


def test_an_address_without_a_page_is_told_as_a_page(lab: Lab, browser: Browser) -> None:
    with visiting(browser, script=False) as visitor:
        assert visitor.open(f"{lab.url}/nowhere") == 404
        expect(visitor.page.get_by_role("alert")).to_contain_text("there is no such page")
        visitor.page.get_by_role("main").get_by_role("link", name="Sign in").click()
        visitor.page.wait_for_url("**/sign-in")


def test_a_key_is_shown_once_and_revoked(lab: Lab, browser: Browser) -> None:
    with visiting(browser, script=False) as visitor:
        page = visitor.page
        visitor.sign_in(lab.url, lab.service.caller("keys").key)
        visitor.open(f"{lab.url}/keys")
        page.get_by_label("Name").fill("<i>build</i> \u202e machine")
        page.get_by_role("button", name="Make a key").click()
        key = page.get_by_label("The new key").input_value()
        assert lab.service.stores.keys.authenticate(key) is not None
        expect(page.get_by_text("<i>build</i>").first).to_be_visible()
        visitor.open(f"{lab.url}/keys")
        assert key not in page.content()
        page.get_by_role("button", name="Revoke <i>build</i>").click()
        assert lab.service.stores.keys.authenticate(key) is None
