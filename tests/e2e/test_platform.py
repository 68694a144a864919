"""`push up` as a person meets it: a fresh folder, real servers and services, other commands, and every way to end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.platform import PUSH, Platform, eventually_now, free_offset, is_alive

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart.yaml"
PASSWORD = "a long enough password"


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    made = Platform(tmp_path, free_offset())
    yield made
    if made.process is not None and not made.ended:
        made.end(signal.SIGTERM)


def _manifest(folder: Path, *more: dict[str, Any], **spec: Any) -> Path:
    """The example with other values in its spec, and other documents after it."""
    body = yaml.safe_load(QUICKSTART.read_text())
    body["spec"].update(spec)
    path = folder / "chat.yaml"
    path.write_text(yaml.safe_dump_all([body, *more]))
    return path


def _post(platform: Platform, path: str, body: dict[str, str]) -> tuple[int, dict[str, Any]]:
    url = f"http://localhost:{8081 + platform.offset}{path}"
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def _ready(platform: Platform, component: str) -> str:
    (found,) = [one for one in platform.get()["status"]["components"] if one["name"] == component]
    return f"{found['ready']}/{found['desired']} of {found['total']}"


def _credentials(platform: Platform) -> None:
    """One is made, opens what it is for, and opens nothing any more when it is revoked."""
    made = json.loads(platform.push("credentials", "create", "the shop", "--scope", "topics", "-o", "json"))
    eventually_now(lambda: _topics(platform, made["credential"]) == 200, what="the credential to be known")
    assert made["id"] in platform.push("credentials", "list")
    platform.push("credentials", "revoke", made["id"])
    eventually_now(lambda: _topics(platform, made["credential"]) == 401, what="the credential to be gone")


def _topics(platform: Platform, credential: str) -> int:
    url = f"http://localhost:{8082 + platform.offset}/topics"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {credential}"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_a_whole_life(platform: Platform, tmp_path: Path) -> None:
    """Up, used, scaled, changed, read about, down, and up again with its data."""
    platform.up(QUICKSTART)
    platform.until_ready()
    assert platform.errors == ""
    status, made = _post(platform, "/auth/register", {"email": "ann@example.com", "password": PASSWORD})
    assert status == 201, made

    table = platform.push("get")
    assert "chat: ready" in table
    assert f"ws://localhost:{8080 + platform.offset}/ws" in table
    assert platform.push("get", "-o", "wide").count("chat-gateway-") == 2
    assert yaml.safe_load(platform.push("get", "-o", "yaml"))["status"]["gateways"] == 2

    _credentials(platform)

    platform.push("scale", "gateway", "3")
    eventually_now(lambda: _ready(platform, "gateway") == "3/3 of 3", what="three gateways")

    before = {unit["component"]: unit["name"] for unit in platform.get()["units"]}
    changed = _manifest(tmp_path, auth={"registrationsPerHour": 601}, gateway={"replicas": 1})
    platform.push("apply", str(changed))
    eventually_now(lambda: _ready(platform, "gateway") == "1/1 of 1", 45, what="one gateway")
    eventually_now(lambda: platform.get()["status"]["conditions"][0]["status"] == "True", what="ready again")
    after = {unit["component"]: unit["name"] for unit in platform.get()["units"]}
    assert {name for name, unit in after.items() if unit != before[name] and name != "gateway"} == {"auth"}

    assert "INFO chat-auth-" in platform.push("logs", "auth", "--tail", "5")
    assert json.loads(platform.push("logs", "auth", "--raw", "--tail", "1"))["service"] == "auth"
    assert "Server is ready" in platform.push("logs", "nats")

    assert platform.push("down") == "stopped\n"
    eventually_now(lambda: platform.ended, 5)
    assert platform.end() == 0
    assert "INFO chat-auth-" in platform.push("logs", "auth")

    platform.up(QUICKSTART)
    platform.until_ready()
    status, made = _post(platform, "/auth/login", {"email": "ann@example.com", "password": PASSWORD})
    assert status == 200, made
    assert platform.end(signal.SIGINT, seconds=10) == 130


def test_a_refused_change_changes_nothing(platform: Platform, tmp_path: Path) -> None:
    platform.up(QUICKSTART)
    platform.until_ready()
    before = platform.get()
    path = _manifest(tmp_path, gateway={"replicas": 0}, size="tiny")
    assert platform.push("apply", str(path), code=1).splitlines() == [
        f"push: {path}: spec.size: must be one of small, medium, large",
        f"push: {path}: spec.gateway.replicas: must be a whole number from 1 to 1000",
    ]
    path.write_text(QUICKSTART.read_text().replace("name: chat", "name: other"))
    assert "metadata.name: must stay default/chat" in platform.push("apply", str(path), code=1)
    path = _manifest(tmp_path, tokens={"signingKeysSecret": "keys"})
    assert "Secret keys has no key JWT_SECRET: add a Secret document" in platform.push("apply", str(path), code=1)
    assert "must be 1 with the embedded store, not 2" in platform.push("scale", "message", "2", code=1)
    assert "spec.gateway.replicas: must be a whole number" in platform.push("scale", "gateway", "0", code=1)
    after = platform.get()
    assert (after["spec"], after["metadata"], after["status"]) == (before["spec"], before["metadata"], before["status"])
    assert [unit["name"] for unit in after["units"]] == [unit["name"] for unit in before["units"]]

    again = Platform(tmp_path / "again", platform.offset)
    again.folder.mkdir()
    again.state = platform.state
    again.up(QUICKSTART)
    eventually_now(lambda: again.ended)
    assert (again.end(), again.errors.count("\n")) == (1, 1)
    assert f"already running in {platform.state} (pid {platform.process and platform.process.pid})" in again.errors

    again.state = tmp_path / "again" / "state"
    again.up(QUICKSTART)
    eventually_now(lambda: again.ended)
    assert (again.end(), again.errors.count("\n")) == (1, 1)
    assert f"port {8080 + platform.offset} on 127.0.0.1 is in use" in again.errors
    assert "--port-offset" in again.errors
    assert platform.end(signal.SIGTERM) == 143


def test_the_page_and_what_it_reads(platform: Platform) -> None:
    platform.up(QUICKSTART)
    platform.until_ready()
    base = f"http://127.0.0.1:{8090 + platform.offset}"
    with urllib.request.urlopen(f"{base}/") as page:
        assert page.headers.get_content_type() == "text/html"
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert page.headers["Content-Security-Policy"].startswith("default-src 'self'")
    with urllib.request.urlopen(f"{base}/config.json") as config:
        assert json.loads(config.read())["gateway"] == f"ws://127.0.0.1:{8080 + platform.offset}/ws"
    with urllib.request.urlopen(f"{base}/status.json") as status:
        shown = json.loads(status.read())
        assert shown["ready"]
        assert {"name": "gateway", "ready": 2, "desired": 2} in shown["components"]
    for path in ("/nothing", "/../main.py", "/%2e%2e/main.py", "/__init__.py"):
        with pytest.raises(urllib.error.HTTPError, match="404") as caught:
            urllib.request.urlopen(base + path)
        caught.value.close()


def test_sigkill_leaves_no_process_and_the_next_run_works(platform: Platform) -> None:
    platform.up(QUICKSTART)
    platform.until_ready()
    assert platform.process is not None
    children = platform.children()
    assert len(children) == 8
    platform.process.kill()
    platform.process.wait()
    eventually_now(lambda: not any(is_alive(child) for child in children), 5, "children gone")
    platform.up(QUICKSTART)
    platform.until_ready()


def test_a_users_signing_key_is_used_and_a_short_one_is_told(platform: Platform, tmp_path: Path) -> None:
    keys = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"JWT_SECRET": "short"}}
    path = _manifest(tmp_path, keys, tokens={"signingKeysSecret": "keys"})
    told = "push: Secret keys: JWT_SECRET has 5 bytes and needs at least 32: make one with `openssl rand -hex 32`\n"
    platform.up(path)
    eventually_now(lambda: platform.ended)
    assert (platform.end(), platform.errors) == (1, told)
    keys["stringData"] = {"JWT_SECRET": "k" * 40}
    _manifest(tmp_path, keys, tokens={"signingKeysSecret": "keys"})
    platform.up(path)
    platform.until_ready()
    before = {unit["name"] for unit in platform.get()["units"]}
    keys["stringData"] = {"JWT_SECRET": "short"}
    _manifest(tmp_path, keys, tokens={"signingKeysSecret": "keys"})
    assert platform.push("apply", str(path), code=1) == told
    assert {unit["name"] for unit in platform.get()["units"]} == before


def test_keys_of_access_tokens_are_rotated(platform: Platform) -> None:
    """The new key is published before it signs; a rotation in haste makes every token void. Both outlive a restart."""
    platform.up(QUICKSTART)
    platform.until_ready()
    status, made = _post(platform, "/auth/register", {"email": "ada@example.com", "password": PASSWORD})
    assert status == 201
    assert len(_kids(platform)) == 1
    assert "signs in 15 minutes" in platform.push("keys", "rotate")
    assert "the newest key signs only in" in platform.push("keys", "rotate", code=1)
    eventually_now(lambda: len(_kids(platform)) == 2, 30, "the new key is published")
    eventually_now(lambda: _me(platform, made["access_token"]) == 200, 30, "the old key's token is good")
    listed = platform.push("keys", "list")
    assert "published, does not sign yet" in listed
    platform.push("down")
    eventually_now(lambda: platform.ended)
    platform.up(QUICKSTART)
    platform.until_ready()
    assert platform.push("keys", "list") == listed
    assert len(_kids(platform)) == 2
    old = set(_kids(platform))
    assert "all others are void" in platform.push("keys", "rotate", "--now")
    eventually_now(lambda: len(_kids(platform)) == 1, 30, "the new key alone is published")
    assert old.isdisjoint(_kids(platform))
    status, again = _post(platform, "/auth/refresh", {"refresh_token": made["refresh_token"]})
    assert status == 200  # who is logged in stays so
    eventually_now(lambda: _me(platform, again["access_token"]) == 200, 30, "the new key's token is good")
    eventually_now(lambda: _me(platform, made["access_token"]) == 401, 30, "the old key's token is void")


def _kids(platform: Platform) -> list[str]:
    """Of the keys that are published now; none while nobody answers."""
    status, keys = _get(platform, 8081, "/.well-known/jwks.json")
    return [one["kid"] for one in keys["keys"]] if status == 200 else []


def _me(platform: Platform, token: str) -> int:
    """What a service that has fetched the keys says of a token."""
    return _get(platform, 8083, "/sessions", token)[0]


def _get(platform: Platform, port: int, path: str, token: str = "") -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"http://localhost:{port + platform.offset}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {}
    except OSError:
        return 0, {}


def test_a_reader_that_goes_away_ends_it_quietly(platform: Platform) -> None:
    """`push up … | head -1`, and `push get | head -1` where the pipe closes at once."""
    argv = (*PUSH, "up", str(QUICKSTART), "--state", str(platform.state), "--port-offset", str(platform.offset))
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        platform.process = process
        assert process.stdout is not None
        assert process.stdout.readline()
        children = platform.children()
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run(
            (*PUSH, "get", "--state", str(platform.state)), stdout=write, stderr=subprocess.PIPE, text=True, check=False
        )
        os.close(write)
        assert (done.returncode, done.stderr) == (1, "")
        process.stdout.close()
        assert process.wait(30) == 1
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert children
    eventually_now(lambda: not any(is_alive(child) for child in children), 5, "children gone")


def test_on_a_terminal_it_draws_a_table_and_ctrl_c_ends_it(platform: Platform, tmp_path: Path) -> None:
    argv = [*PUSH, "up", str(QUICKSTART), "--state", str(platform.state), "--port-offset", str(platform.offset)]
    code = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
    output = tmp_path / "terminal"
    with output.open("wb") as shown, subprocess.Popen(
        (sys.executable, "-c", code, *argv), stdin=subprocess.PIPE, stdout=shown, start_new_session=True
    ) as terminal:  # fmt: skip
        assert terminal.stdin is not None
        eventually_now(lambda: f"http://localhost:{8090 + platform.offset}" in output.read_text(), 60, "ready")
        terminal.stdin.write(b"\x03")
        terminal.stdin.flush()
        assert terminal.wait(15) == 130
    assert "COMPONENT" in output.read_text()
    assert "Ctrl-C stops everything" in output.read_text()


# Without a platform ---------------------------------------------------------------------------------------------------


def _push(*arguments: str) -> tuple[int, str]:
    done = subprocess.run((*PUSH, *arguments), capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("command", [("get",), ("down",), ("scale", "gateway", "2"), ("apply", str(QUICKSTART))])
def test_commands_need_a_running_platform(command: tuple[str, ...], tmp_path: Path) -> None:
    told = f"push: no platform is running in {tmp_path}: start it with `push up FILE`\n"
    assert _push(*command, "--state", str(tmp_path)) == (1, told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("spec: {gateway: {replicas: 0}}\nkind: PushCluster\napiVersion: pushcluster.io/v1alpha1\nmetadata: {name: a}",
         "push: {path}: spec.gateway.replicas: must be a whole number from 1 to 1000\n"),
        ("kind: [\n", "push: {path}:2: expected the node content, but found '<stream end>'\n"),
        ("a: 1\na: 2\n", "push: {path}:2: the key a stands here twice\n"),
        ("a:\n  ? [a, b]\n  : 1\n", "push: {path}:2: a key must be text, not a list or a mapping\n"),
        ("", "push: {path}: manifest: must hold exactly one PushCluster, and Secrets beside it; found none\n"),
    ],
    ids=["a field", "no YAML", "a key twice", "a list as key", "empty"],
)  # fmt: skip
def test_a_broken_manifest_is_one_clear_line_and_leaves_nothing(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    state = tmp_path / "state"
    assert _push("up", str(path), "--state", str(state)) == (1, told.format(path=path))
    assert not state.exists()


def test_a_missing_file_and_wrong_usage() -> None:
    assert _push("up", "nowhere.yaml") == (1, "push: nowhere.yaml: cannot be read: No such file or directory\n")
    code, told = _push("scale", "gateway", "many")
    assert (code, "invalid int value: 'many'" in told) == (2, True)
    assert _push("up", "x.yaml", "--port-offset", "-1")[0] == 2


def test_help_teaches() -> None:
    code, told = _push("--help")
    assert code == 0
    for line in ("push up examples/quickstart.yaml", "push scale gateway 3", "--state"):
        assert line in told


def test_the_pages_port_in_use_leaves_nothing_running(platform: Platform) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 8090 + platform.offset))
        taken.listen()
        platform.up(QUICKSTART)
        eventually_now(lambda: platform.ended)
    assert platform.end() == 1
    assert f"push: port {8090 + platform.offset} on 127.0.0.1 is in use: the web page needs it" in platform.errors
