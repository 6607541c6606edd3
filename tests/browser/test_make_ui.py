"""A person opens the page that `make ui` prints. Real sandbox, real DAGs, real browser."""

import re

import pytest
from playwright.sync_api import expect

from dynatrail import clock
from dynatrail.settings import PROJECT

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("browser"),
]

RUN_MS = 400_000  # the scheduled ones took 73 s alone, 142 s beside other tests on two cores
DAGS = {path.stem for path in (PROJECT / "dags").glob("*.py")}


def card(page, dag_id):
    return page.get_by_test_id("dag-card").filter(has=page.get_by_role("link", name=dag_id, exact=True))


def ended(page):
    """The state in which the run or task that the page shows ended."""
    badge = page.get_by_test_id("header-card").get_by_test_id("state-badge").first
    expect(badge).to_have_text(re.compile("Success|Failed|Skipped"), timeout=RUN_MS)
    return badge.inner_text().strip()


def test_a_wrong_password_does_not_let_in(sign_in):
    page = sign_in("admin", "admin")

    expect(page.get_by_text("Invalid credentials")).to_be_visible()
    assert "/auth/login" in page.url


def test_the_operator_sees_every_dag_and_none_is_paused(sign_in, screenshots):
    page = sign_in("operator")

    expect(page.get_by_test_id("dag-card")).to_have_count(len(DAGS))
    page.screenshot(path=screenshots / "dags.png")
    assert {text.strip() for text in page.get_by_test_id("dag-id").all_inner_texts()} == DAGS
    for dag_id in DAGS:
        expect(card(page, dag_id).get_by_test_id("toggle-pause").locator("input")).to_be_checked()


def test_scheduled_runs_turn_green_by_themselves(sign_in, screenshots):
    page = sign_in("operator")

    for dag_id in ("extract_cloudtrail", "build_trail"):
        run = card(page, dag_id).get_by_test_id("latest-run")
        expect(run.get_by_test_id("state-badge").locator("svg")).to_be_visible(timeout=RUN_MS)
        run.get_by_role("link").click()
        assert ended(page) == "Success"
        page.goto("/dags")
    expect(page.get_by_test_id("dag-card")).to_have_count(len(DAGS))
    page.screenshot(path=screenshots / "green.png")


def test_the_operator_triggers_an_extract_from_its_form_and_sees_it_succeed(sign_in, screenshots):
    page = sign_in("operator")
    page.get_by_role("link", name="extract_cloudtrail", exact=True).click()
    expect(page.get_by_test_id("header-card")).to_be_visible()  # until then the list's own buttons are still there

    page.get_by_test_id("trigger-dag-button").click()
    page.locator("#element_from").fill((clock.now() - 2 * clock.DAY).date().isoformat())
    page.locator("#element_to").fill(clock.iso(clock.now()))
    page.locator("label").filter(has=page.locator("input[name=element_retake]")).click()
    page.screenshot(path=screenshots / "form.png")
    page.get_by_test_id("trigger-dag-submit").click()

    page.wait_for_url("**/dags/extract_cloudtrail/runs/manual__*")
    assert ended(page) == "Success"
    expect(page.get_by_test_id("header-card")).to_contain_text("operator")
    take = page.get_by_role("row").filter(has=page.get_by_role("cell", name="take", exact=True))
    expect(take.first).to_contain_text("Success")
    page.screenshot(path=screenshots / "run.png")


def test_a_task_log_can_be_read_in_the_page(sign_in, screenshots):
    page = sign_in("operator")
    page.goto("/dags/extract_cloudtrail")
    page.locator("[data-testid^='grid-'][data-testid$='-discover']").first.click()
    page.wait_for_url("**/tasks/discover**")

    assert ended(page) == "Success"
    expect(page.get_by_text("Returned value was").first).to_be_visible()
    page.screenshot(path=screenshots / "log.png")


def test_the_auditor_may_look_but_not_trigger(sign_in):
    page = sign_in("auditor")

    answer = page.request.post("/api/v2/dags/build_trail/dagRuns", data={"logical_date": None})

    assert answer.status == 403


def test_no_page_asks_for_anything_outside_this_machine(sign_in):
    page = sign_in("operator")
    for place in ("/", "/dags", "/dags/extract_cloudtrail", "/assets"):
        page.goto(place)
        page.wait_for_load_state("networkidle")

    assert page.strangers == []


def test_the_sandboxs_traffic_is_still_going_on(ui):
    assert "traffic ended" not in ui.text()
    assert ui.process.poll() is None
