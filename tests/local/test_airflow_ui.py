import json
import signal
import stat

import httpx
import psutil
import pytest

from dynatrail.local import airflow_ui

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.xdist_group("ui")]


def alive(processes):
    _, left = psutil.wait_procs(processes, timeout=5)
    return [p for p in left if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]  # init reaps when it likes


def test_a_signal_stops_everything_and_leaves_no_process(start_ui):
    ui = start_ui().ready()
    family = ui.family()

    ui.process.send_signal(signal.SIGTERM)

    assert ui.process.wait(60) == 0, ui.text()
    assert len(family) > 10
    assert alive(family) == []


def test_ctrl_c_before_it_is_ready_stops_it_too(start_ui):
    ui = start_ui()
    while not (ui.home / "airflow" / "processes" / "scheduler.log").exists():
        assert ui.process.poll() is None, ui.text()
    family = ui.family()

    ui.process.send_signal(signal.SIGINT)

    assert ui.process.wait(60) == 0, ui.text()
    assert alive(family) == []


def test_what_a_killed_one_left_behind_is_stopped_by_the_next(start_ui):
    killed = start_ui().ready()
    components = killed.process.children(recursive=True)
    killed.process.kill()
    killed.process.wait()
    assert alive(components) != []

    start_ui().ready()

    assert alive(components) == []


def test_a_second_one_on_the_same_home_is_refused(running_ui, start_ui):
    second = start_ui(running_ui.home)

    assert second.process.wait(60) != 0
    assert "running on" in second.text()
    assert "Ctrl-C" in second.text()


def test_a_component_that_ends_stops_the_rest_and_its_log_is_named(start_ui):
    ui = start_ui().ready()
    family = ui.family()
    scheduler = next(p for p in ui.process.children() if "scheduler" in p.cmdline())

    scheduler.kill()

    assert ui.process.wait(60) != 0
    assert "scheduler ended with -9" in ui.text()
    assert "scheduler.log" in ui.text()
    assert alive(family) == []


def test_it_listens_on_loopback_only(running_ui):
    listening = {
        connection.laddr.ip
        for process in running_ui.family()
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }

    assert listening == {"127.0.0.1"}


def test_a_taken_port_is_left_to_its_owner(running_ui, taken_port):
    assert not running_ui.address.endswith(f":{taken_port}")


def test_each_user_signs_in_with_the_printed_password_and_has_a_role(running_ui):
    ui = running_ui
    passwords = json.loads((ui.home / "airflow" / "users.json").read_text())

    assert set(passwords) == set(airflow_ui.USERS)
    for user, password in passwords.items():
        assert password in ui.text()
        answer = httpx.post(f"{ui.address}/auth/token", json={"username": user, "password": password}, timeout=30)
        assert answer.status_code == 201
    viewer = {"Authorization": f"Bearer {_token(ui, 'auditor', passwords)}"}
    assert httpx.get(f"{ui.address}/api/v2/variables", headers=viewer, timeout=30).status_code == 403
    assert httpx.get(f"{ui.address}/api/v2/dags", headers=viewer, timeout=30).status_code == 200


def test_passwords_are_only_for_their_owner_and_stay_the_same(tmp_path):
    first = airflow_ui._passwords(tmp_path)
    before = first.read_text()

    assert stat.S_IMODE(first.stat().st_mode) == 0o600
    assert airflow_ui._passwords(tmp_path).read_text() == before


def _token(ui, user, passwords):
    body = {"username": user, "password": passwords[user]}
    return httpx.post(f"{ui.address}/auth/token", json=body, timeout=30).json()["access_token"]
