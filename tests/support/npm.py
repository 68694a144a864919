"""Packages of npm that tests run, fetched once, pinned by their hashes, and kept under `~/.cache`. It takes Node with
npm."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

INSTALL_SECONDS: Final = 300
_PACKAGES: Final = ("package.json", "package-lock.json")


class NoPackages(Exception):
    """This machine cannot have them; the text says what to install."""


def packages(folder: Path, name: str) -> Path:
    """The folder of the installed packages, by the package.json and lock file in `folder`; filled once for each lock
    file. Raises NoPackages."""
    if not shutil.which("node") or not shutil.which("npm"):
        raise NoPackages("it takes Node with npm: on Debian and Ubuntu, apt install nodejs npm")
    digest = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pushcluster"
    kept = cache / f"{name}-{digest}"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as made:
            _install(folder, Path(made) / "new")
            _move(Path(made) / "new", kept)
    return kept / "node_modules"


def _install(source: Path, folder: Path) -> None:
    folder.mkdir()
    for name in _PACKAGES:
        shutil.copy(source / name, folder)
    command: Sequence[str] = ("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    if done.returncode:
        raise NoPackages(f"npm could not fetch its packages: {done.stderr[-500:]}")


def _move(folder: Path, kept: Path) -> None:
    """Another run may have been faster: theirs is the same."""
    try:
        folder.rename(kept)
    except OSError:
        if not kept.exists():
            raise
