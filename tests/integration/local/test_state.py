"""The state folder: one platform's own, private, and nothing outlives the platform."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from tests.support.platform import eventually_now, free_offset, is_alive

from push_operator.cluster.local.sockets import KeptPorts, listening
from push_operator.cluster.local.state import StateFolder
from push_operator.errors import ClusterError


def test_sigkill_of_the_platform_leaves_no_process(tmp_path: Path) -> None:
    program = (sys.executable, "-m", "tests.integration.local.orphans", str(tmp_path / "state"), str(free_offset()))
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as platform:
        assert platform.stdout is not None
        units = [psutil.Process(int(pid)) for pid in platform.stdout.readline().split()]
        assert len(units) == 2
        platform.kill()
    eventually_now(lambda: not any(is_alive(unit) for unit in units), 5, "units gone")


def test_a_second_platform_in_the_same_folder_is_refused(state: StateFolder) -> None:
    again = StateFolder(state.root)
    with state.locked():
        assert again.running_pid() is not None
        with pytest.raises(ClusterError, match=r"already running in .* \(pid \d+\)"), again.locked():
            raise AssertionError("locked twice")
    assert again.running_pid() is None


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(ClusterError, match="holds other files"), StateFolder(tmp_path).locked():
        raise AssertionError("locked")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_path_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"too long .* --state"), StateFolder(tmp_path / ("x" * 100)).locked():
        raise AssertionError("locked")


def test_a_damaged_file_is_named(state: StateFolder) -> None:
    with state.locked():
        (state.root / "object.json").write_text("{")
        with pytest.raises(ClusterError, match=r"object\.json cannot be read"):
            state.load_object()


def test_ports_are_kept_unless_someone_else_has_them(state: StateFolder) -> None:
    with state.locked():
        first = KeptPorts(state).port("nats", "client")
        assert KeptPorts(state).port("nats", "client") == first
        with listening("127.0.0.1", first, "test"):
            second = KeptPorts(state).port("nats", "client")
        assert second != first
        assert KeptPorts(state).port("nats", "client") == second
