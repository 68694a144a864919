"""How the official image runs Cassandra without a write to its root.

The image's entry point edits the files in /etc/cassandra, so the program `cassandra` is started in its place. That
takes its options from there, writes logs and heap dumps besides its data, and sizes itself by the machine, not by the
pod; whatever is said again here comes after that, and wins.
"""

from __future__ import annotations

from typing import Final

from push_operator.render.objects import CONFIG, DATA, SCRATCH, Object

# For 2 GiB: what is neither heap nor buffers (code, threads, tables of the JVM) is about 400 MiB.
HEAP, BUFFERS = "768M", "512M"
LOGBACK: Final = """\
<configuration>
  <appender name="OUT" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%-5level %d{ISO8601} %logger{20} %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="OUT"/></root>
</configuration>
"""
_PROPERTIES: Final = {
    "cassandra.config": f"file://{CONFIG}/cassandra.conf",
    "cassandra.storagedir": DATA,
    # What only the pod knows of the configuration: the address that the clients reach it at.
    "cassandra.config.allow_system_properties": "true",
    "cassandra.settings.broadcast_rpc_address": "$(POD_IP)",
    # To the container's log alone: files of its own would fill the scratch volume.
    "logback.configurationFile": f"file://{CONFIG}/logback.xml",
    # Native libraries are unpacked there.
    "java.io.tmpdir": SCRATCH,
    "jna.tmpdir": SCRATCH,
    "java.net.preferIPv4Stack": "false",
    # There is no other node to wait for.
    "cassandra.skip_wait_for_gossip_to_settle": "0",
    "cassandra.superuser_setup_delay_ms": "0",
}
START: Final[Object] = {
    "command": ["cassandra"],
    "args": ["-f", *(f"-D{name}={value}" for name, value in _PROPERTIES.items())],
}
ENVIRONMENT: Final[tuple[Object, ...]] = (
    {"name": "CASSANDRA_LOG_DIR", "value": SCRATCH},
    {"name": "MAX_HEAP_SIZE", "value": HEAP},
    {"name": "MAX_DIRECT_MEMORY_SIZE", "value": BUFFERS},
    # A word about the collector's log keeps the launcher from one of its own, of 100 MB; and without these numbers the
    # collector takes a thread for each core of the machine.
    {"name": "JVM_OPTS", "value": "-Xlog:gc=warning -XX:ParallelGCThreads=2 -XX:ConcGCThreads=2"},
    # The launcher's `kill -9` on running out of memory does nothing to the first process of a container.
    {"name": "JVM_EXTRA_OPTS", "value": "-XX:-HeapDumpOnOutOfMemoryError -XX:+ExitOnOutOfMemoryError"},
    {"name": "POD_IP", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}},
)
