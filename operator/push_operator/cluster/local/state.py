"""The state folder: all that the local platform keeps between runs, and the lock that makes it one platform's own."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from push_operator.errors import ClusterError

SOCKET_PATH_BYTES = 100  # the kernel takes 108 on Linux, 104 on macOS


class StateFolder:
    """Paths and whole-file reads and writes; every file and folder in it is its owner's alone."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.control_socket = self.root / "control.sock"
        self.logs = self.root / "logs"
        self.config = self.root / "config"
        self.secrets = self.root / "secrets"
        self._data = self.root / "data"
        self._lock = self.root / "lock"
        self._object = self.root / "object.json"
        self._ports = self.root / "ports.json"

    def data(self, component: str) -> Path:
        """The folder for one component's own files, made when first asked for."""
        return _own_folder(self._data / component)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the folder for this process. Raises ClusterError when another one has it or it cannot be used."""
        self._refuse_unusable()
        try:
            for folder in (self.root, self.logs, self.config, self.secrets, self._data):
                _own_folder(folder)
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ClusterError(f"cannot use the state folder {self.root}: {error.strerror}") from error
        try:
            self._take(descriptor)
            yield
        finally:
            os.close(descriptor)

    def running_pid(self) -> int | None:
        """The process that holds the lock now, None when nobody does."""
        try:
            descriptor = os.open(self._lock, os.O_RDWR)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return _pid_in(descriptor)
        else:
            return None
        finally:
            os.close(descriptor)

    def load_object(self) -> dict[str, Any] | None:
        """Raises ClusterError, naming the file, when it is damaged; so does `load_ports`."""
        body: dict[str, Any] | None = read_kept(self._object, _is_object, "a PushCluster as the platform keeps it")
        return body

    def save_object(self, body: Mapping[str, Any]) -> None:
        write_private(self._object, json.dumps(body, indent=2, default=str))

    def load_ports(self) -> dict[str, int]:
        return read_kept(self._ports, _are_ports, "a mapping of names to port numbers") or {}

    def save_ports(self, ports: Mapping[str, int]) -> None:
        write_private(self._ports, json.dumps(ports, indent=2))

    def _refuse_unusable(self) -> None:
        if len(os.fsencode(self.control_socket)) > SOCKET_PATH_BYTES:
            raise ClusterError(
                f"the path of the state folder is too long for a socket ({self.root}): give a shorter one with --state"
            )
        if self.root.is_dir() and not self._lock.exists() and any(self.root.iterdir()):
            raise ClusterError(f"{self.root} holds other files: give an empty or a new folder with --state")

    def _take(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = _pid_in(descriptor)
            raise ClusterError(
                f"a platform is already running in {self.root} (pid {pid}): "
                "stop it with `push down`, or give another folder with --state"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)


def write_private(path: Path, text: str) -> None:
    """Replaces a file whole: a reader, or a crash at any moment, sees the old or the new one. Mode 0600."""
    draft = path.with_name(f".{path.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _own_folder(path: Path) -> Path:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def _pid_in(descriptor: int) -> int:
    return int(os.pread(descriptor, 20, 0) or b"0")


def read_kept(path: Path, fits: Callable[[Any], bool], what: str) -> Any:
    """The JSON in a file, None when there is none. Raises ClusterError when it is damaged, or is not `what` as `fits`
    finds out."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise ClusterError(f"{path} cannot be read ({error}): mend it or remove it") from error
    if not fits(kept):
        raise ClusterError(f"{path} cannot be read (it is not {what}): mend it or remove it")
    return kept


def _is_object(kept: Any) -> bool:
    """As far as it is read again; the manifest that comes with each start says the rest."""
    metadata = kept.get("metadata") if isinstance(kept, dict) else None
    if not isinstance(metadata, dict):
        return False
    named = isinstance(metadata.get("name"), str) and isinstance(metadata.get("namespace", ""), str | None)
    return named and isinstance(metadata.get("generation", 0), int)


def _are_ports(kept: Any) -> bool:
    return isinstance(kept, dict) and all(type(port) is int and 0 < port < 1 << 16 for port in kept.values())
