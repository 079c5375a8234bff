"""The handle of a sandbox: found by its name, it shows the state and refuses what is wrong."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

import mora.sandbox
from mora.domain import Resources
from mora.errors import BadInput, ClusterError
from mora.sandbox import SandboxHandle
from mora.sandbox.spec import SERVICES
from mora.sandbox.state import sandbox_folder, take_lock, write_state
from tests.running import until
from tests.sandbox.shopper import value

SERVICE_NAMES = sorted(spec.name for spec in SERVICES)


def test_without_a_running_sandbox_the_error_says_how_to_start_one(home: Path) -> None:
    with pytest.raises(ClusterError, match=r"No sandbox named 'zz' is running(.|\n)*Start one: mora sandbox up"):
        mora.sandbox.connect("zz")


def test_a_name_that_is_not_running_is_an_error_with_those_that_are(home: Path) -> None:
    folder = sandbox_folder("blue")
    folder.mkdir()
    write_state(folder, {})
    lock = take_lock(folder)
    assert lock is not None
    try:
        with pytest.raises(ClusterError) as raised:
            mora.sandbox.connect("zz")
    finally:
        os.close(lock)
    assert raised.value.hint == "Running: blue."


@pytest.mark.slow
def test_the_status_has_addresses_processes_and_services(sandbox: SandboxHandle) -> None:
    status = sandbox.status()
    assert sandbox.services == SERVICE_NAMES
    assert (sandbox.namespace, sandbox.entry_service) == ("default", "frontend")
    assert "token" not in status
    for service in status["services"].values():
        assert (service["replicas"], service["ready"], service["is_settled"]) == (1, 1, True)
        assert Path(f"/proc/{service['pods'][0]['pid']}").exists()
    state = Path(status["folder"]) / "state.json"
    assert stat.S_IMODE(state.stat().st_mode) == 0o600
    assert stat.S_IMODE(state.parent.stat().st_mode) == 0o700


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"nothing": 1}, "no service 'nothing'"),
        ({"frontend": 21}, "0 to 20 replicas"),
        ({"frontend": -1}, "0 to 20 replicas"),
    ],
)
def test_an_invalid_number_of_replicas_is_refused_and_changes_nothing(
    sandbox: SandboxHandle, change: dict[str, int], words: str
) -> None:
    with pytest.raises(BadInput, match=words):
        sandbox.scale({"cartservice": 2, **change})
    assert sandbox.status()["services"]["cartservice"]["replicas"] == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("/scale", {"frontend": 1.5}, "/scale: frontend is a number, not a whole number"),
        ("/scale", {"frontend": True}, "frontend is true or false, not a whole number"),
        ("/scale", ["frontend"], "it is a list, not an object"),
        ("/scale", None, "it is null, not an object"),
        ("/resources", {"service": "frontend"}, "/resources: resources is missing"),
        ("/resources", {"service": 5, "resources": {}}, "service is a number, not text"),
        (
            "/resources",
            {"service": "frontend", "resources": {"cpu_limit_millicores": 2**62}},
            "resources.cpu_limit_millicores is 4611686018427387904, not a number from",
        ),
        ("/restart", {"frontend": 1}, "/restart: it is an object, not a list"),
        ("/restart", [["frontend"]], "is a list, not text"),
    ],
)
def test_a_command_of_another_shape_is_refused_and_the_sandbox_goes_on(
    sandbox: SandboxHandle, path: str, value: object, words: str
) -> None:
    with pytest.raises(BadInput) as refused:
        sandbox._command(path, value)
    assert words in str(refused.value)
    assert sandbox.status()["services"]["frontend"]["replicas"] == 1
    sandbox.wait_ready()


@pytest.mark.slow
def test_invalid_resources_are_refused(sandbox: SandboxHandle) -> None:
    with pytest.raises(BadInput, match="above its limit"):
        sandbox.set_resources("frontend", Resources(cpu_request_millicores=200, cpu_limit_millicores=100))
    with pytest.raises(BadInput, match="must be positive"):
        sandbox.set_resources("frontend", Resources(memory_request_bytes=0))


@pytest.mark.slow
def test_a_name_that_is_running_cannot_be_started_again(sandbox: SandboxHandle) -> None:
    with pytest.raises(ClusterError, match="'test' is already running"):
        mora.sandbox.start("test")
    with pytest.raises(ClusterError, match=r"No sandbox named 'other' is running.\nRunning: test\."):
        mora.sandbox.connect("other")
    assert mora.sandbox.connect("test").pid == sandbox.pid


@pytest.mark.slow
def test_a_sandbox_can_be_ready_before_its_first_scrape(home: Path) -> None:
    handle = mora.sandbox.start("early", await_metrics=False)
    assert all(service["is_settled"] for service in handle.status()["services"].values())
    until(lambda: value(handle, "count(kube_pod_container_info)") == len(SERVICES), "the first scrape")
    handle.down()
