"""A real browser, and people who use it: what their pages complain about is collected."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Request, expect, sync_playwright

from tests.programs import require

PATIENCE = 90_000  # milliseconds; no test depends on how long anything takes
SERIOUS = ("serious", "critical")
Theme = Literal["light", "dark"]
expect.set_options(timeout=PATIENCE)


@contextmanager
def launched() -> Iterator[Browser]:
    """Run Chromium while the block runs."""
    path = require("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visitor:
    """Somebody with a browser window."""

    context: BrowserContext
    page: Page
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def open(self, url: str) -> int | None:
        """Open a page and return its status."""
        answer = self.page.goto(url)
        return answer.status if answer else None

    def sign_in(self, url: str, key: str) -> None:
        """Sign in as a person does."""
        self.open(f"{url}/sign-in")
        self.page.get_by_label("API key").fill(key)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(f"{url}/")

    def violations(self) -> list[str]:
        """Return what axe finds serious or critical on the page."""
        found = Axe().run(self.page).response["violations"]
        return [
            f"{item['id']}: {node['html'][:200]} {node.get('failureSummary', '')[:300]}"
            for item in found
            if item["impact"] in SERIOUS
            for node in item["nodes"]
        ]

    def is_too_wide(self) -> bool:
        """Whether the page scrolls sideways."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


@contextmanager
def visiting(
    browser: Browser, *, theme: Theme = "light", width: int = 1280, script: bool = True, **options: Any
) -> Iterator[Visitor]:
    """Open a window of its own: no cookie of another."""
    context = browser.new_context(
        color_scheme=theme, viewport={"width": width, "height": 900}, java_script_enabled=script, **options
    )
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    visitor = Visitor(context, page)

    def heard(message: ConsoleMessage) -> None:
        # A page that is a problem is told of by its status; everything else must not happen, violations of CSP least.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            visitor.complaints.append(message.text)

    def opened(dialog: Dialog) -> None:
        visitor.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def asked(request: Request) -> None:
        visitor.asked.append(request.url)

    page.on("console", heard)
    page.on("pageerror", lambda error: visitor.complaints.append(str(error)))
    page.on("dialog", opened)
    page.on("request", asked)
    try:
        yield visitor
    finally:
        context.close()


def address(path: Path) -> str:
    """Return the file: URL of a page on disk."""
    return path.resolve().as_uri()
