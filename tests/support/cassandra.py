"""A real one-node Cassandra 5 for tests, run from the jars on Maven Central. It takes a JDK 17 and, once, Maven."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from push_operator.model import parse
from push_operator.plan.build import build
from push_workloads.common.cassandra_connect import connect
from push_workloads.common.config import CassandraConfig
from push_workloads.common.errors import Unavailable
from tests.support.jars import jars, java_17
from tests.support.servers import Server, free_port
from tests.support.verdicts import manifest

VERSION: Final = "5.0.8"
DATACENTER: Final = "datacenter1"  # what SimpleSnitch says
USER: Final = "cassandra"  # what a fresh one has
PASSWORD: Final = "cassandra"
HEAP: Final = "384m"
MAIN: Final = "org.apache.cassandra.service.CassandraDaemon"
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


class _Node(Server):
    """One process; `properties` are Java's, on top of what every test wants."""

    start_seconds = 120.0  # 10 s alone on two cores

    def __init__(
        self, folder: Path, yaml: Callable[[int], str], properties: Callable[[int], Mapping[str, str]]
    ) -> None:
        """Raises NoJars. Downloads it when it is not in the cache (70 MB)."""
        java, lib = java_17(), cassandra_jars()
        super().__init__(
            lambda port: _command(java, lib, folder, properties(port)), {}, (b"", ()), folder / "cassandra.log"
        )
        conf = folder / "conf"
        conf.mkdir(parents=True)
        (conf / "cassandra.yaml").write_text(yaml(self.port))
        (conf / "logback.xml").write_text(_LOGBACK)


class CassandraServer(_Node):
    """One that takes the known login and lets it do everything, as one for tests may. `durable`: what it has
    acknowledged outlives SIGKILL, as with the operator's configuration; else the last moment may be lost."""

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        sync = "batch" if durable else "periodic\ncommitlog_sync_period: 10s"
        super().__init__(folder, lambda port: _settings(folder, port, sync), lambda _: {})

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


_HASTY: Final = {
    "cassandra.role_password_update_min_interval_in_ms": "0",
    "cassandra.settings.credentials_validity": "100ms",
    "cassandra.settings.permissions_validity": "100ms",
    "cassandra.settings.roles_validity": "100ms",
}


def managed_config(host: str, port: int) -> CassandraConfig:
    """As a service of ours is told of one that the operator runs."""
    return CassandraConfig(
        contact_points=((host, port),),
        keyspace="pushcluster",
        local_datacenter=DATACENTER,
        user="push",
        password="services'-secret",
        replication=1,
        admin_password="administrator's-secret",
    )


class ManagedCassandra(_Node):
    """One with the very configuration that the operator gives it; ports and, here, `address` aside. Its users and what
    they may do are nobody's business but of those that log in: ready means that it listens."""

    def __init__(self, folder: Path, *, hasty: bool = False) -> None:
        """`hasty`: believes for 0.1 s and not for 2 s what it has read of a user, whose password may change at once and
        not after 5 s."""
        self.address = "127.0.0.1"
        self._hasty = hasty
        self._ports = {"storage_port": free_port(), "ssl_storage_port": free_port()}
        plan = build(parse(manifest(cassandra={"managed": {}})))
        (text,) = (one.config for one in plan.workloads if one.component == "cassandra")
        super().__init__(folder, lambda _: text or "", self._overlay)

    def config(self, host: str = "127.0.0.1") -> CassandraConfig:
        return managed_config(host, self.port)

    def _overlay(self, port: int) -> dict[str, str]:
        own = self._ports | {"native_transport_port": port, "broadcast_rpc_address": self.address}
        if self.address != "127.0.0.1":
            own["rpc_address"] = self.address  # nowhere else, as a pod's is nobody's when the pod is gone
        overlay = {f"cassandra.settings.{name}": str(value) for name, value in own.items()}
        return {"cassandra.config.allow_system_properties": "true", **overlay, **(_HASTY if self._hasty else {})}

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection(self.address, self.port)
        except OSError:
            return False
        writer.close()
        return True


def cassandra_jars() -> Path:
    """The folder with them (70 MB)."""
    return jars(f"cassandra-{VERSION}", _POM)


def java_options(lib: Path) -> list[str]:
    """What Cassandra asks of any JVM; quick to start matters here, quick when warm does not."""
    exports = [word for package in _EXPORTS for word in ("--add-exports", f"{package}=ALL-UNNAMED")]
    opens = [word for package in _OPENS for word in ("--add-opens", f"{package}=ALL-UNNAMED")]
    (jamm,) = lib.glob("jamm-*.jar")
    asked = ("-Djdk.attach.allowAttachSelf=true", "-Dio.netty.tryReflectionSetAccessible=true",
             "-Dcassandra-foreground=yes")  # fmt: skip
    return ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-javaagent:{jamm}", *exports, *opens, *asked]


def _command(java: Path, lib: Path, folder: Path, more: Mapping[str, str]) -> Sequence[str]:
    settings = {
        "cassandra.config": f"file://{folder}/conf/cassandra.yaml",
        "cassandra.storagedir": str(folder),
        "cassandra.logdir": str(folder / "logs"),
        "logback.configurationFile": f"file://{folder}/conf/logback.xml",
        "cassandra.skip_wait_for_gossip_to_settle": "0",
        "cassandra.ring_delay_ms": "0",
        "cassandra.load_ring_state": "false",
        "cassandra.superuser_setup_delay_ms": "0",
        "cassandra.auth_bcrypt_gensalt_log2_rounds": "4",
    }
    properties = [f"-D{name}={value}" for name, value in {**settings, **more}.items()]
    main = ("-cp", f"{folder}/conf:{lib}/*", MAIN)
    return [str(java), *java_options(lib), f"-Xms{HEAP}", f"-Xmx{HEAP}", *properties, *main]


def _settings(folder: Path, port: int, sync: str) -> str:
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
commitlog_sync: {sync}
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
