"""From sign-in to a comparison, in a real browser, against the whole stack as `interlayer up` starts it."""

import re
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.e2e.activations import write_long_study, write_study
from tests.e2e.processes import computing, frozen, interlayer_up, until, worker_pid
from tests.pages.browser import visiting


def test_a_study_in_the_browser(tmp_path: Path, browser: Browser) -> None:
    train = write_long_study(tmp_path / "run-train.npz")
    validation = write_study(tmp_path / "run-validation.npz", n_per_class=150, n_classes=8, layers=24, dimension=64)
    cut = tmp_path / "cut.npz"
    cut.write_bytes(train.read_bytes()[:-100])
    with (
        interlayer_up(tmp_path / "data", tmp_path / "log", lease_seconds="600") as up,
        visiting(browser) as visitor,
        up.client() as client,
    ):
        page = visitor.page
        visitor.sign_in(up.url, up.key)
        page.get_by_role("navigation", name="Pages").get_by_role("link", name="Files").click()
        # The head of each file is read before it travels.
        expect(page.get_by_text("or drop files here")).to_be_visible()
        page.get_by_label("Choose a file").set_input_files([cut, train, validation])
        expect(page.get_by_text("Not uploaded: the end of the archive is missing")).to_be_visible()
        expect(page.get_by_text("● Uploaded", exact=False)).to_have_count(2)
        expect(page.get_by_text("24 layers: 0.Dense").first).to_be_visible()
        uploads = [url for url in visitor.asked if "/v1/uploads" in url]
        assert uploads, "in pieces, so that it can go on where it stopped"
        page.get_by_role("link", name="Analyse these files").click()
        # What each file is was guessed from its name, and what it takes is told as the form is filled in.
        expect(page.get_by_label("run-validation.npz used as")).to_have_value("trained-validation")
        expect(page.get_by_label("run-train.npz used as")).to_have_value("trained-train")
        page.get_by_label("Layers", exact=False).first.press("Tab")
        page.get_by_text("More: blocks of layers").click()
        page.get_by_label("Tags").fill("study = in the browser")
        page.get_by_label("Tags").press("Tab")
        expect(page.get_by_role("heading", name="What it would take")).to_be_visible()
        page.get_by_role("button", name="Start the analysis").click()
        page.wait_for_url(re.compile(r"/analyses/an_"))
        first = page.url
        # Progress and finished layers appear without anybody loading the page anew.
        page.evaluate("window.same = true")
        analysis_id = first.rpartition("/")[2]
        until(lambda: computing(client, analysis_id) and client.layers(analysis_id).separations, "the first layers")
        with frozen(worker_pid(client.status(analysis_id))):
            expect(page.get_by_text("running")).to_be_visible()
            expect(page.get_by_role("heading", name="finished so far")).to_be_visible()
            assert page.evaluate("window.same") is True
            expect(page.locator(".on-screen svg.layers")).to_be_visible()
        expect(page.get_by_role("link", name="Open the report")).to_be_visible()
        expect(page.get_by_role("heading", name="What was found")).to_be_visible()
        page.get_by_role("link", name="Open the report").click()
        expect(page.get_by_role("heading", name="Class separation, layer by layer")).to_be_visible()
        # The same files again, and the two side by side. The list of files is at the end of the page.
        page.wait_for_load_state()
        one, other = _artifacts(page.content())
        visitor.open(f"{up.url}/analyses/new?file={one}@trained-train&file={other}@trained-validation")
        page.get_by_role("button", name="Start the analysis").click()
        page.wait_for_url(re.compile(r"/analyses/an_"))
        assert page.url != first
        expect(page.get_by_role("link", name="Open the report")).to_be_visible()
        visitor.open(up.url + "/")
        for box in page.get_by_role("checkbox").all():
            box.check()
        page.get_by_role("button", name="Compare two").click()
        expect(page.locator("svg .ghost").first).to_be_attached()
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/sign-in")
        visitor.open(first)
        page.wait_for_url("**/sign-in?next=*")
        assert visitor.complaints == []


def _artifacts(report: str) -> list[str]:
    """Return the ids of the analysed files."""
    return [f"sha256:{digest}" for digest in re.findall(r"<code>([0-9a-f]{64})</code>", report)]


def test_cancel_is_a_click(tmp_path: Path, browser: Browser) -> None:
    with (
        interlayer_up(tmp_path / "data", tmp_path / "log", lease_seconds="600") as up,
        visiting(browser) as visitor,
        up.client() as client,
    ):
        artifact = client.upload(write_long_study(tmp_path / "long.npz"))
        visitor.sign_in(up.url, up.key)
        visitor.open(f"{up.url}/analyses/new?file={artifact.id}@untrained-validation")
        visitor.page.get_by_role("button", name="Start the analysis").click()
        visitor.page.wait_for_url(re.compile(r"/analyses/an_"))
        analysis_id = visitor.page.url.rpartition("/")[2]
        running = until(lambda: computing(client, analysis_id), "the analysis to be under way")
        with frozen(worker_pid(running)):
            visitor.page.get_by_role("button", name="Cancel").click()
            expect(visitor.page.get_by_text("canceling").first).to_be_visible()
        expect(visitor.page.get_by_text("This analysis was canceled on request")).to_be_visible()
        assert client.analyses().items[0].status == "canceled"


def test_an_upload_goes_on_where_it_stopped(tmp_path: Path, browser: Browser) -> None:
    path = write_study(tmp_path / "large.npz", n_per_class=700, n_classes=8, layers=9, dimension=64)  # two pieces
    assert 8 * 2**20 < path.stat().st_size < 16 * 2**20
    with interlayer_up(tmp_path / "data", tmp_path / "log") as up, visiting(browser) as visitor:
        visitor.sign_in(up.url, up.key)
        page = visitor.page
        sent = 0

        def cut(route: object) -> None:
            nonlocal sent
            sent += 1
            getattr(route, "abort" if sent >= 2 else "continue_")()

        page.route(re.compile("/v1/uploads/"), cut)
        visitor.open(f"{up.url}/files")
        page.get_by_label("Choose a file").set_input_files(path)
        expect(page.get_by_text("8.39 MB of")).to_be_visible()
        page.unroute(re.compile("/v1/uploads/"))
        visitor.open(f"{up.url}/files")  # the page was closed, and opened again
        visitor.asked.clear()
        page.get_by_label("Choose a file").set_input_files(path)
        expect(page.get_by_text("● Uploaded", exact=False)).to_be_visible()
        own = [url for url in visitor.asked if "/v1/uploads" in url]
        assert len(own) == 2, f"one question how much has arrived, and the rest: {own}"
