"""Cassandra (or ScyllaDB) as the services use it: one session each, awaited, every call bounded in time.

The driver has threads of its own. What blocks (connecting, preparing, closing) goes to a thread; a request is handed
over without waiting and its answer comes back to the loop from the driver's thread. Nothing but this module and
`cassandra_connect` imports the driver.

Consistency: everything at LOCAL_QUORUM, so that what was written is what is read; conditional writes at LOCAL_SERIAL.
A conditional write that times out has an **unknown** end, and only a serial read settles it: `Undecided` says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from cassandra import ConsistencyLevel, DriverException, RequestValidationException  # type: ignore[import-untyped]
from cassandra.cluster import Cluster, NoHostAvailable, ResponseFuture, Session  # type: ignore[import-untyped]
from cassandra.connection import ConnectionException  # type: ignore[import-untyped]
from cassandra.protocol import ErrorMessage, SyntaxException  # type: ignore[import-untyped]

from push_workloads.common.config import CassandraConfig
from push_workloads.common.errors import Unavailable

CALL_SECONDS: Final = 4.0  # above the servers' own limits (2 s a write), so that their better answer comes first
SCHEMA_SECONDS: Final = 30.0
IN_FLIGHT: Final = 256  # far below a connection's streams: with none free the driver would block the loop for 2 s
RETRY_MS: Final = 1000
APPLIED: Final = "[applied]"
_log = logging.getLogger(__name__)

Row = dict[str, Any]
Statement = Any
"""A prepared statement of the driver, or CQL text where nothing is bound. In texts, `{ks}` stands for the keyspace."""


Refused = (RequestValidationException, SyntaxException)
"""A statement that Cassandra will not run as it is: wrong, or beyond the rights of this login."""

FAILURES: Final = (DriverException, NoHostAvailable, ConnectionException, ErrorMessage)


class Undecided(Unavailable):
    """A conditional write was sent and its end is unknown: read at `serial`, then decide."""


class Cassandra:
    """One connected session. Each method that asks raises Unavailable within CALL_SECONDS."""

    def __init__(self, cluster: Cluster, session: Session, config: CassandraConfig) -> None:
        self._cluster = cluster
        self._session = session
        self.keyspace = config.keyspace
        self._datacenter = config.local_datacenter
        self._slots = asyncio.Semaphore(IN_FLIGHT)

    async def prepare(self, text: str, *, serial: bool = False) -> Statement:
        """A statement to be run often; token-aware, and repeatable unless it is conditional. `serial`: a read that
        first settles every conditional write under way on its partition."""
        with translated():
            statement = await asyncio.to_thread(self._session.prepare, self._placed(text))
        statement.is_idempotent = " IF " not in text
        statement.consistency_level = ConsistencyLevel.LOCAL_SERIAL if serial else ConsistencyLevel.LOCAL_QUORUM
        statement.serial_consistency_level = ConsistencyLevel.LOCAL_SERIAL
        return statement

    async def rows(self, statement: Statement, *values: object) -> list[Row]:
        """The answer's rows, at most a driver's page (5000): callers say LIMIT."""
        return await self._ask(statement, values, CALL_SECONDS) or []

    async def row(self, statement: Statement, *values: object) -> Row | None:
        rows = await self.rows(statement, *values)
        return rows[0] if rows else None

    async def write(self, statement: Statement, *values: object) -> None:
        """A plain write: done by a quorum when this returns; may be repeated when it raises."""
        await self._ask(statement, values, CALL_SECONDS)

    async def write_if(self, statement: Statement, *values: object) -> Row | None:
        """A conditional write: None when it was applied, else the row that stood against it (empty when none did).

        Raises Undecided: nothing but a definite answer tells what became of it.
        """
        try:
            (row, *_) = await self._ask(statement, values, CALL_SECONDS) or [{}]
        except Unavailable as error:
            raise Undecided(error.message, retry_after_ms=RETRY_MS) from error
        if row.pop(APPLIED):
            return None
        return row

    async def change_schema(self, text: str) -> None:
        """Runs one DDL statement and waits until all nodes have the new schema.

        All processes ask the same node: one node does its schema changes one after the other, while two that create
        the same table at the same moment give it two identities, and a restart of a node is needed to mend that.
        """
        await self._ask(text, None, SCHEMA_SECONDS, host=self._first_host())
        with translated():
            agreed = await asyncio.to_thread(self._cluster.control_connection.wait_for_schema_agreement)
        if not agreed:
            raise Unavailable("the Cassandra nodes do not agree on the schema", retry_after_ms=RETRY_MS)

    def nodes(self) -> int:
        """How many nodes of the local datacenter are up."""
        return len(self._local_hosts())

    async def go_on_with(self, cluster: Cluster, session: Session) -> None:
        """Another connected session in place of this one's, which is closed: what it has under way fails."""
        old, self._cluster, self._session = self._cluster, cluster, session
        await asyncio.to_thread(old.shutdown)

    async def close(self) -> None:
        await asyncio.to_thread(self._cluster.shutdown)

    def _local_hosts(self) -> list[Any]:
        hosts = self._cluster.metadata.all_hosts()
        return [host for host in hosts if host.datacenter == self._datacenter and host.is_up is not False]

    def _first_host(self) -> Any:
        """The same for all who ask, while the same nodes are up."""
        return min(self._local_hosts(), key=lambda host: str(host.host_id), default=None)

    def _placed(self, text: str) -> str:
        """Names in full: what a prepared statement means must not hang on what its connection was told to USE."""
        return text.replace("{ks}", self.keyspace)

    async def _ask(
        self, statement: Statement, values: Sequence[object] | None, seconds: float, host: Any = None
    ) -> list[Row] | None:
        if isinstance(statement, str):
            statement = self._placed(statement)
        try:
            async with asyncio.timeout(seconds), self._slots:
                with translated():
                    return await _answer(self._session.execute_async(statement, values, timeout=seconds, host=host))
        except TimeoutError as error:
            raise Unavailable("Cassandra does not answer in time", retry_after_ms=RETRY_MS) from error


class translated:  # noqa: N801 - reads as the context manager that it is
    """Around calls of the driver: whatever a later try may mend becomes Unavailable.

    A statement that is refused as wrong stays what it is: a fault of this program or of its rights, told as such.
    """

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, Refused):
            return
        if isinstance(error, FAILURES):
            raise Unavailable(f"Cassandra is not available: {type(error).__name__}", retry_after_ms=RETRY_MS) from error


def _answer(response: ResponseFuture) -> asyncio.Future[list[Row] | None]:
    """The answer as a future of this loop."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[Row] | None] = loop.create_future()

    def settle(rows: list[Row] | None, error: Exception | None) -> None:
        if answer.done():  # its caller gave up: timed out or cancelled
            return
        if error is None:
            answer.set_result(rows)
        else:
            answer.set_exception(error)

    def from_thread(rows: list[Row] | None, error: Exception | None) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, rows, error)

    response.add_callbacks(lambda rows: from_thread(rows, None), lambda error: from_thread(None, error))
    return answer
