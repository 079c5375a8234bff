"""Connecting to a Dask cluster: addresses, versions, and what is reported where no cluster can be had."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mora.errors import BadInput, ClusterError
from mora.scaleout import check_address, connect, installed
from tests.running import mora

# A Python that has everything but `distributed`.
WITHOUT_DASK = """
import importlib.machinery as machinery
found = machinery.PathFinder.find_spec
machinery.PathFinder.find_spec = classmethod(
    lambda cls, name, *rest: None if name.partition(".")[0] == "distributed" else found(name, *rest)
)
from mora.errors import ToolMissing
from mora.scaleout import connect
try:
    with connect("tcp://127.0.0.1:8786"):
        pass
except ToolMissing as error:
    print(error)
"""


@pytest.mark.parametrize(
    "text",
    ["", "8786", "tcp://", "tcp://host", "tcp://host:port", "http://host:8786", "tcp://host:8786/path", "inproc://a/1"],
)
def test_what_is_no_address_of_a_scheduler_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match=r"is not the address of a Dask scheduler(.|\n)*tcp://10.0.0.7:8786"):
        check_address(text)


def test_a_password_in_an_address_is_refused_and_not_printed() -> None:
    with pytest.raises(BadInput) as refused:
        check_address("tcp://ada:hunter2@host:8786")
    assert "hunter2" not in str(refused.value)


def test_a_scheduler_that_does_not_run_is_an_error_with_how_to_start_one() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    with (
        pytest.raises(ClusterError, match=rf"No Dask scheduler answers at {address} within 0.5 s(.|\n)*dask scheduler"),
        connect(address, answer_seconds=0.5),
    ):
        pass


def test_tls_without_certificates_is_an_error_with_where_they_belong() -> None:
    with pytest.raises(ClusterError, match=r"tls://(.|\n)*distributed\.comm\.tls"), connect("tls://127.0.0.1:1"):
        pass


def test_without_dask_the_error_names_the_command_that_installs_it() -> None:
    said = subprocess.run([sys.executable, "-c", WITHOUT_DASK], capture_output=True, text=True, check=True).stdout
    assert "--backend dask needs a package that is not installed: distributed" in said
    assert "pip install 'mora-rightsizing[dask]'" in said


def test_the_versions_that_numbers_depend_on_are_known() -> None:
    assert all(installed().values())
    assert {"mora-rightsizing", "numpy", "tensorflow", "prophet", "python"} <= set(installed())


def test_a_single_service_from_its_model_is_not_sent_to_a_cluster(tmp_path: Path) -> None:
    ran = mora("recommend", "frontend", "--backend", "dask", "--scheduler", "10.0.0.7:8786", cwd=tmp_path)
    assert ran.returncode == 1
    assert "mora recommend -A --backend dask --scheduler ADDRESS" in ran.stderr
