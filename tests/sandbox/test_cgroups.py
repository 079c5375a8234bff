"""cgroup files of both versions, on a folder that looks like the kernel's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mora.domain import Resources
from mora.quantities import MIB
from mora.sandbox.cgroups import CgroupV1, CgroupV2, NoCgroups, Usage, cpu_shares, cpu_weight, open_tree, remove_group

RESOURCES = Resources(250, 500, 32 * MIB, 64 * MIB)
BOUNDLESS = Resources(None, None, None, None)

V2_FILES = {
    "cgroup.controllers": "cpuset cpu io memory pids\n",
    "cgroup.subtree_control": "",
    "cgroup.procs": "",
    "cpu.stat": "usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\n"
    "nr_periods 40\nnr_throttled 10\nthrottled_usec 750000\n",
    "memory.current": f"{50 * MIB}\n",
    "memory.stat": f"anon {30 * MIB}\nfile {20 * MIB}\ninactive_file {8 * MIB}\n",
    "memory.events": "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n",
}


def make_v2_group(group: Path) -> None:
    """What the kernel does when a folder is made in a version 2 hierarchy."""
    group.mkdir(exist_ok=True)
    for name, text in V2_FILES.items():
        (group / name).write_text(text)


@pytest.fixture
def v2_root(tmp_path: Path) -> Path:
    root = tmp_path / "cgroup"
    make_v2_group(root)
    return root


def test_v2_hands_the_controllers_down_to_every_level_above_a_container(v2_root: Path) -> None:
    CgroupV2(v2_root, "mora/test", make_group=make_v2_group).create("pod1/server")
    for level in ("", "mora", "mora/test", "mora/test/pod1"):
        assert (v2_root / level / "cgroup.subtree_control").read_text() == "+cpu +memory"
    # Processes may stand in leaves only, so the container's own group hands nothing down.
    assert (v2_root / "mora/test/pod1/server/cgroup.subtree_control").read_text() == ""


def test_v2_writes_requests_and_limits_as_kubernetes_does(v2_root: Path) -> None:
    tree = CgroupV2(v2_root, "mora/test", make_group=make_v2_group)
    tree.create("pod1")
    group = v2_root / "mora/test/pod1"
    tree.limit("pod1", RESOURCES)
    assert (group / "cpu.max").read_text() == "50000 100000"
    assert (group / "cpu.weight").read_text() == "10"
    assert (group / "memory.max").read_text() == str(64 * MIB)
    tree.limit("pod1", BOUNDLESS)
    assert (group / "cpu.max").read_text() == "max 100000"
    assert (group / "cpu.weight").read_text() == "1"
    assert (group / "memory.max").read_text() == "max"


def test_the_sandboxes_outweigh_what_else_the_machine_does(v2_root: Path, tmp_path: Path) -> None:
    """Ten processes of normal priority on each core, within what the kernel takes."""
    cores = os.cpu_count() or 1
    CgroupV2(v2_root, "mora/test", make_group=make_v2_group)
    assert int((v2_root / "mora/cpu.weight").read_text()) == min(1000 * cores, 10_000)
    CgroupV1(tmp_path, "mora/test")
    assert int((tmp_path / "cpu/mora/cpu.shares").read_text()) == min(10_240 * cores, 262_144)


def test_v2_reads_the_kernels_figures(v2_root: Path) -> None:
    tree = CgroupV2(v2_root, "mora/test", make_group=make_v2_group)
    tree.create("pod1")
    assert tree.usage("pod1") == Usage(
        cpu_seconds=2.5,
        periods=40,
        throttled_periods=10,
        throttled_seconds=0.75,
        working_set_bytes=42 * MIB,
        rss_bytes=30 * MIB,
        oom_kills=2,
    )
    assert tree.process_files("pod1") == [v2_root / "mora/test/pod1/cgroup.procs"]


def test_v2_says_which_controllers_are_missing(v2_root: Path, tmp_path: Path) -> None:
    (v2_root / "cgroup.controllers").write_text("hugetlb memory\n")
    own = tmp_path / "self"
    own.write_text("0::/\n")
    found = open_tree("test", mount=v2_root, own_cgroup=own)
    assert isinstance(found, NoCgroups)
    assert "controllers cpu are not delegated" in found.reason


def test_v2_goes_up_from_its_own_group_to_the_first_that_it_may_use(v2_root: Path, tmp_path: Path) -> None:
    """In a session of its own user, the group above is delegated and the session's own hands nothing down."""
    for level in ("user.slice", "user.slice/session.scope"):
        make_v2_group(v2_root / level)
    (v2_root / "user.slice/session.scope/cgroup.controllers").write_text("")
    # The groups that the tree will make, as the kernel would fill them.
    for level in ("user.slice/mora", "user.slice/mora/test"):
        make_v2_group(v2_root / level)
    own = tmp_path / "self"
    own.write_text("1:name=systemd:/elsewhere\n0::/user.slice/session.scope\n")
    found = open_tree("test", mount=v2_root, own_cgroup=own)
    assert isinstance(found, CgroupV2)
    assert found.folders() == [v2_root / "user.slice/mora/test"]


def test_without_cgroups_the_reason_names_the_place(tmp_path: Path) -> None:
    found = open_tree("test", mount=tmp_path)
    assert isinstance(found, NoCgroups)
    assert str(tmp_path) in found.reason


@pytest.fixture
def v1_tree(tmp_path: Path) -> CgroupV1:
    tree = CgroupV1(tmp_path, "mora/test")
    tree.create("pod1")
    cpu, cpuacct, memory = (tmp_path / controller / "mora/test/pod1" for controller in ("cpu", "cpuacct", "memory"))
    (cpu / "cpu.stat").write_text("nr_periods 31\nnr_throttled 30\nthrottled_time 2400000000\n")
    (cpuacct / "cpuacct.usage").write_text("1500000000\n")
    (memory / "memory.usage_in_bytes").write_text(f"{60 * MIB}\n")
    (memory / "memory.stat").write_text(f"cache 1\nrss 2\ntotal_rss {40 * MIB}\ntotal_inactive_file {15 * MIB}\n")
    (memory / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 4\n")
    return tree


def test_v1_reads_the_kernels_figures(v1_tree: CgroupV1) -> None:
    assert v1_tree.usage("pod1") == Usage(1.5, 31, 30, 2.4, 45 * MIB, 40 * MIB, 4)


def test_v1_writes_requests_and_limits_as_kubernetes_does(v1_tree: CgroupV1, tmp_path: Path) -> None:
    cpu, memory = tmp_path / "cpu/mora/test/pod1", tmp_path / "memory/mora/test/pod1"
    v1_tree.limit("pod1", RESOURCES)
    assert (cpu / "cpu.shares").read_text() == "256"
    assert (cpu / "cpu.cfs_quota_us").read_text() == "50000"
    assert (memory / "memory.limit_in_bytes").read_text() == str(64 * MIB)
    v1_tree.limit("pod1", BOUNDLESS)
    assert (cpu / "cpu.shares").read_text() == "2"
    assert (cpu / "cpu.cfs_quota_us").read_text() == "-1"
    assert (memory / "memory.limit_in_bytes").read_text() == "-1"


def test_removing_a_group_removes_the_groups_below(tmp_path: Path) -> None:
    folder = tmp_path / "mora" / "test"
    (folder / "pod1" / "server").mkdir(parents=True)
    remove_group(folder)
    assert not folder.exists()
    assert not folder.parent.exists(), "the folder that all sandboxes share goes with the last of them"


def test_a_sandbox_that_ends_while_another_starts_takes_no_cgroups_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last one removes the folder that all share, maybe right after the other has found it there."""
    for controller in ("cpu", "cpuacct", "memory"):
        (tmp_path / controller / "mora").mkdir(parents=True)
        (tmp_path / controller / "cgroup.procs").write_text("")
    make, ended = Path.mkdir, list[Path]()

    def mkdir(self: Path, *args: Any, **options: Any) -> None:
        if not ended and self.parent.name == "mora":
            self.parent.rmdir()
            ended.append(self.parent)
            raise FileNotFoundError(2, "No such file or directory", str(self))
        make(self, *args, **options)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    assert isinstance(open_tree("new", mount=tmp_path), CgroupV1)
    assert ended


@given(st.integers(0, 64_000), st.integers(0, 64_000))
def test_a_larger_request_never_weighs_less(one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert 2 <= cpu_shares(low) <= cpu_shares(high)
    assert 1 <= cpu_weight(low) <= cpu_weight(high) <= 10_000
