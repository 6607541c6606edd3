import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import sync_playwright

# As root there is no sandbox, and offline Chromium's own calls home would only wait.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

_UI = """
import sys
from pathlib import Path
from dynatrail import clock
from dynatrail.local.airflow_ui import serve
from dynatrail.sandbox.sandbox import Sandbox

home = Path(sys.argv[1])
with Sandbox(home / "sandbox") as sandbox:
    sandbox.play("tiny", end=clock.now())
    serve(home, sandbox=sandbox, port=0, say=lambda line: print(line, flush=True))
"""


@pytest.fixture(scope="session")
def chromium():
    """Debian's Chromium, installed when it is missing and may be."""
    if not shutil.which("chromium") and shutil.which("apt-get") and os.geteuid() == 0:
        for command in (["apt-get", "update"], ["apt-get", "install", "--yes", "chromium"]):
            subprocess.run(command, check=True, timeout=600, stdout=subprocess.DEVNULL)
    path = shutil.which("chromium")
    assert path, "Install Chromium (`apt-get install chromium` as root), or leave these out with -m 'not browser'."
    return path


class Ui:
    def __init__(self, folder):
        self.home = folder / "home"
        self.out = folder / "ui.out"
        self.home.mkdir()
        with self.out.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _UI, self.home],
                env={k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "DYNATRAIL", "AWS"))},
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def text(self):
        return self.out.read_text()

    def wait_ready(self):
        deadline = time.monotonic() + 240
        while "Airflow is ready" not in self.text():
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.3)

    @property
    def address(self):
        return next(word for word in self.text().split() if word.startswith("http://"))

    def printed_password(self, user):
        return next(line.split()[1] for line in self.text().splitlines() if line.split()[:1] == [user])


@pytest.fixture(scope="module")
def ui():
    """What `make ui` starts: the sandbox with a small scenario, and Airflow."""
    # Not below pytest's folder: any pytest that starts takes other users' access to it away, and as root PostgreSQL
    # runs as another user.
    with tempfile.TemporaryDirectory(prefix="dynatrail-browser-") as folder:
        made = Ui(Path(folder))
        try:
            made.wait_ready()
            yield made
        finally:
            made.process.terminate()
            made.process.wait(90)


@pytest.fixture(scope="module")
def screenshots(tmp_path_factory):
    """DYNATRAIL_SCREENSHOTS keeps them where a person wants them."""
    wanted = os.environ.get("DYNATRAIL_SCREENSHOTS")
    folder = Path(wanted) if wanted else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def browser(chromium):
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def page(browser, ui):
    """A fresh visitor; `strangers` are the addresses outside this machine that the pages asked for."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-US", base_url=ui.address)
    context.set_default_timeout(30_000)
    opened = context.new_page()
    opened.strangers = []

    def note(request):
        if urlsplit(request.url).scheme not in ("blob", "data") and not request.url.startswith(ui.address):
            opened.strangers.append(request.url)

    opened.on("request", note)
    yield opened
    context.close()


@pytest.fixture
def sign_in(page, ui):
    def as_user(user, password=None):
        page.goto("/dags")
        page.locator("input[name=username]").fill(user)
        page.locator("input[name=password]").fill(password or ui.printed_password(user))
        page.get_by_role("button", name="Sign in").click()
        if password is None:
            page.get_by_test_id("dag-card").first.wait_for()
        return page

    return as_user
