"""A real one-node Cassandra 5 for tests, run from the jars on Maven Central. It takes a JDK 17 and, once, Maven."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from push_workloads.common.cassandra_connect import connect
from push_workloads.common.config import CassandraConfig
from push_workloads.common.errors import Unavailable
from tests.support.servers import Server, free_port

VERSION: Final = "5.0.8"
DATACENTER: Final = "datacenter1"  # what SimpleSnitch says
USER: Final = "cassandra"  # what a fresh one has
PASSWORD: Final = "cassandra"
HEAP: Final = "384m"
_POM: Final = Path(__file__).with_name("cassandra.pom.xml")
_EXPORTS: Final = (
    "java.base/jdk.internal.misc", "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.management/com.sun.jmx.remote.security", "java.rmi/sun.rmi.registry", "java.rmi/sun.rmi.server",
    "java.sql/java.sql", "java.base/java.lang.ref", "jdk.unsupported/sun.misc",
    "jdk.compiler/com.sun.tools.javac.file", "jdk.attach/sun.tools.attach",
)  # fmt: skip
_OPENS: Final = (
    "java.base/java.lang.module", "java.base/jdk.internal.loader", "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect", "java.base/jdk.internal.math", "java.base/jdk.internal.module",
    "java.base/jdk.internal.util.jar", "jdk.management/com.sun.management.internal", "java.base/sun.nio.ch",
    "java.base/java.io", "java.base/java.lang.reflect", "jdk.compiler/com.sun.tools.javac", "java.base/java.lang",
    "java.base/java.util", "java.base/java.nio",
)  # fmt: skip


class NoCassandra(Exception):
    """This machine cannot run one; the text says what to install."""


class CassandraServer(Server):
    start_seconds = 120.0  # 10 s alone on two cores

    def __init__(self, folder: Path) -> None:
        """Raises NoCassandra. Downloads it when it is not in the cache (70 MB)."""
        java, lib = java_17(), jars()
        super().__init__(lambda port: _command(java, lib, folder, port), {}, (b"", ()), folder / "cassandra.log")
        conf = folder / "conf"
        conf.mkdir(parents=True)
        (conf / "cassandra.yaml").write_text(_settings(folder, self.port))
        (conf / "logback.xml").write_text(_LOGBACK)

    def config(self, keyspace: str | None = None) -> CassandraConfig:
        """How to reach it, by default with a keyspace that nobody else has."""
        return CassandraConfig(
            contact_points=(("127.0.0.1", self.port),),
            keyspace=keyspace or f"test_{secrets.token_hex(6)}",
            local_datacenter=DATACENTER,
            user=USER,
            password=PASSWORD,
            replication=1,
        )

    def environ(self, keyspace: str) -> dict[str, str]:
        """The same as variables of a service."""
        return {
            "CASSANDRA_CONTACT_POINTS": f"127.0.0.1:{self.port}",
            "CASSANDRA_KEYSPACE": keyspace,
            "CASSANDRA_LOCAL_DATACENTER": DATACENTER,
            "CASSANDRA_REPLICATION": "1",
            "CASSANDRA_USER": USER,
            "CASSANDRA_PASSWORD": PASSWORD,
        }

    async def emptied(self, keyspace: str) -> CassandraConfig:
        """The keyspace with its tables and nothing in them: to make them anew would take ten times as long."""
        config = self.config(keyspace)
        cassandra = await connect(config)
        try:
            found = await cassandra.rows("SELECT keyspace_name, table_name FROM system_schema.tables")
            tables = [row["table_name"] for row in found if row["keyspace_name"] == keyspace]
            for table in tables:
                if not table.startswith("schema_"):
                    await cassandra.write(f"TRUNCATE {{ks}}.{table}")
        finally:
            await cassandra.close()
        return config

    async def _answers(self) -> bool:
        """It listens before its first user is made."""
        try:
            await (await connect(self.config())).close()
        except Unavailable:
            await asyncio.sleep(0.2)
            return False
        return True


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
    raise NoCassandra("there is no Java 17: install openjdk-17-jre-headless")


def jars() -> Path:
    """The folder with them, filled once for all: made beside its place and then moved there whole."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pushcluster"
    lib = cache / f"cassandra-{VERSION}" / "lib"
    if lib.exists():
        return lib
    maven = shutil.which("mvn")
    if maven is None:
        raise NoCassandra("Cassandra is not in the cache, and there is no Maven to fetch it: install maven")
    lib.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=lib.parent) as made:
        copy = ("dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={made}/lib")
        done = subprocess.run([maven, "-q", "-B", "-f", _POM, *copy], capture_output=True, text=True)
        if done.returncode:
            raise NoCassandra(f"Maven could not fetch Cassandra: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        if not lib.exists():
            Path(made, "lib").rename(lib)
    return lib


def _command(java: Path, lib: Path, folder: Path, _: int) -> Sequence[str]:
    exports = [word for package in _EXPORTS for word in ("--add-exports", f"{package}=ALL-UNNAMED")]
    opens = [word for package in _OPENS for word in ("--add-opens", f"{package}=ALL-UNNAMED")]
    (jamm,) = lib.glob("jamm-*.jar")
    # Quick to start matters here, quick when warm does not.
    quick = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Xms{HEAP}", f"-Xmx{HEAP}", f"-javaagent:{jamm}")
    settings = {
        "jdk.attach.allowAttachSelf": "true",
        "io.netty.tryReflectionSetAccessible": "true",
        "cassandra.config": f"file://{folder}/conf/cassandra.yaml",
        "cassandra.storagedir": str(folder),
        "cassandra.logdir": str(folder / "logs"),
        "logback.configurationFile": f"file://{folder}/conf/logback.xml",
        "cassandra-foreground": "yes",
        "cassandra.skip_wait_for_gossip_to_settle": "0",
        "cassandra.ring_delay_ms": "0",
        "cassandra.load_ring_state": "false",
        "cassandra.superuser_setup_delay_ms": "0",
        "cassandra.auth_bcrypt_gensalt_log2_rounds": "4",
    }
    properties = [f"-D{name}={value}" for name, value in settings.items()]
    main = ("-cp", f"{folder}/conf:{lib}/*", "org.apache.cassandra.service.CassandraDaemon")
    return [str(java), *quick, *exports, *opens, *properties, *main]


def _settings(folder: Path, port: int) -> str:
    return f"""\
cluster_name: tests
authenticator: PasswordAuthenticator
authorizer: AllowAllAuthorizer
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: SimpleSnitch
num_tokens: 1
storage_port: {free_port()}
ssl_storage_port: {free_port()}
native_transport_port: {port}
start_native_transport: true
listen_address: 127.0.0.1
rpc_address: 127.0.0.1
seed_provider: [{{class_name: org.apache.cassandra.locator.SimpleSeedProvider, parameters: [{{seeds: "127.0.0.1"}}]}}]
data_file_directories: [{folder}/data]
commitlog_directory: {folder}/commitlog
saved_caches_directory: {folder}/saved_caches
hints_directory: {folder}/hints
cdc_raw_directory: {folder}/cdc_raw
cdc_enabled: false
commitlog_sync: periodic
commitlog_sync_period: 10s
commitlog_segment_size: 5MiB
auto_snapshot: false
incremental_backups: false
memtable_allocation_type: heap_buffers
disk_access_mode: standard
column_index_size: 4KiB
"""


_LOGBACK: Final = """\
<configuration>
  <appender name="OUT" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%-5level %d{HH:mm:ss} %logger{20} %msg%n</pattern></encoder>
  </appender>
  <root level="WARN"><appender-ref ref="OUT"/></root>
</configuration>
"""
