"""Programs for Java that tests run, from the jars on Maven Central. It takes a JDK 17 and, once, Maven."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path


class NoJars(Exception):
    """This machine cannot run them; the text says what to install."""


def java_17() -> Path:
    """Cassandra 5 runs on no newer one."""
    named = [Path(os.environ["JAVA_HOME"], "bin/java")] if "JAVA_HOME" in os.environ else []
    on_path = shutil.which("java")
    candidates = [*named, *([Path(on_path)] if on_path else []), *sorted(Path("/usr/lib/jvm").glob("*17*/bin/java"))]
    for java in candidates:
        if (
            java.exists()
            and ' version "17.' in subprocess.run([java, "-version"], capture_output=True, text=True).stderr
        ):
            return java
    raise NoJars("there is no Java 17: install openjdk-17-jdk-headless")


def jars(name: str, pom: Path) -> Path:
    """The folder with all that `pom` names, filled once for all: made beside its place and then moved there whole."""
    lib = cache() / name / "lib"
    if lib.exists():
        return lib
    maven = shutil.which("mvn")
    if maven is None:
        raise NoJars(f"{name} is not in the cache, and there is no Maven to fetch it: install maven")
    lib.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=lib.parent) as made:
        copy = ("dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={made}/lib")
        done = subprocess.run([maven, "-q", "-B", "-f", pom, *copy], capture_output=True, text=True)
        if done.returncode:
            raise NoJars(f"Maven could not fetch {name}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        if not lib.exists():
            Path(made, "lib").rename(lib)
    return lib


def compiled(name: str, source: Path, lib: Path) -> Path:
    """The folder with what the compiler made of `source`, once for each text of it."""
    javac = java_17().resolve().with_name("javac")
    if not javac.exists():
        raise NoJars("there is a Java 17 without its compiler: install openjdk-17-jdk-headless")
    classes = cache() / name
    if classes.exists():
        return classes
    classes.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=classes.parent) as made:
        done = subprocess.run(
            [javac, "-cp", f"{lib}/*", "-d", f"{made}/classes", source], capture_output=True, text=True
        )
        if done.returncode:
            raise AssertionError(f"{source.name} does not compile: {done.stderr[-2000:]}")
        if not classes.exists():
            Path(made, "classes").rename(classes)
    return classes


def cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pushcluster"
