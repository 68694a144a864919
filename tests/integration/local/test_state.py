"""The state folder: one platform's own, private, and nothing outlives the platform."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from tests.integration.local.conftest import fake_programs
from tests.support.platform import eventually_now, free_offset, is_alive

from push_operator.cluster.local.adapter import LocalCluster, Settings
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


@pytest.mark.parametrize(
    ("file", "text"),
    [
        *(("object.json", text) for text in (
            "{", '"a"', "null", "[]", "{}", '{"metadata": 5}', '{"metadata": {"name": 1}}',
            '{"metadata": {"name": "a", "namespace": 1}}', '{"metadata": {"name": "a", "generation": "b"}}',
            "[" * 100_000)),
        *(("ports.json", text) for text in ("{", "[]", "5", '{"nats/client": "x"}', '{"nats/client": 70000}')),
        *(("secrets/own.json", text) for text in ("", "{", "[]", '{"password": 5}')),
    ],
)  # fmt: skip
async def test_a_damaged_file_is_named_at_the_start(state: StateFolder, file: str, text: str) -> None:
    settings = Settings("127.0.0.1", 0, ())
    with state.locked():
        path = state.root / file
        path.write_text(text)
        with pytest.raises(ClusterError) as caught:
            async with LocalCluster.running(state, settings, fake_programs()):
                raise AssertionError("started")
    assert str(caught.value).startswith(f"{path} cannot be read (")
    assert str(caught.value).endswith("): mend it or remove it")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("192.0.2.1", "192.0.2.1 is not an address of this machine: give --host an address of this machine"),
        ("2001:db8::1", "2001:db8::1 is not an address of this machine: give --host"),
        ("no-such-host.invalid", "the host name no-such-host.invalid is unknown: give --host"),
        ("a..b", "the host name a..b is unknown: give --host"),
    ],
)
def test_a_host_that_is_not_this_machine_is_told_as_that(host: str, told: str) -> None:
    with pytest.raises(ClusterError) as caught:
        listening(host, 0, "stop the program that has it")
    assert str(caught.value).startswith(told)
    assert "stop the program" not in str(caught.value)


def test_ports_are_kept_unless_someone_else_has_them(state: StateFolder) -> None:
    with state.locked():
        first = KeptPorts(state).port("nats", "client")
        assert KeptPorts(state).port("nats", "client") == first
        with listening("127.0.0.1", first, "test"):
            second = KeptPorts(state).port("nats", "client")
        assert second != first
        assert KeptPorts(state).port("nats", "client") == second
