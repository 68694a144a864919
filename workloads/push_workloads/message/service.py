"""The message service put together."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from push_workloads.common import questions
from push_workloads.common.bus import Bus, DirectClient, connected
from push_workloads.common.cache import cache
from push_workloads.common.collector import tracing
from push_workloads.common.config import CassandraConfig, SqliteConfig
from push_workloads.common.consumer import Consumer, Source
from push_workloads.common.credentials import Credentialed
from push_workloads.common.erasing import Erasing
from push_workloads.common.errors import Unavailable
from push_workloads.common.fetching import fetching
from push_workloads.common.following import Following
from push_workloads.common.http import application, serving
from push_workloads.common.measures import Consumed, Questions
from push_workloads.common.revocations import Unrevoked
from push_workloads.common.revoking import Revoked
from push_workloads.common.service import Process
from push_workloads.common.subjects import stream_name
from push_workloads.common.tasks import beside
from push_workloads.common.tokens import Tokens
from push_workloads.message.answering import Question, answering
from push_workloads.message.api import routes
from push_workloads.message.callers import Callers
from push_workloads.message.completer import Completer
from push_workloads.message.config import MessageConfig
from push_workloads.message.groups.answers import gateway_questions, members_question
from push_workloads.message.groups.api import group_routes
from push_workloads.message.groups.office import Office
from push_workloads.message.groups.permits import Permits
from push_workloads.message.groups.rights_api import block_routes, topic_routes
from push_workloads.message.groups.sqlite import sqlite_groups
from push_workloads.message.groups.store import GroupStore
from push_workloads.message.groups.teller import Teller
from push_workloads.message.groups.watchers import Watchers, privacy_routes
from push_workloads.message.known import HistoryLag, KnownMessages
from push_workloads.message.log import Log
from push_workloads.message.lookback import look_back
from push_workloads.message.receipts.desk import ReceiptDesk
from push_workloads.message.sender import Sender
from push_workloads.message.sqlite import sqlite_store
from push_workloads.message.store import HistoryStore, wall_clock
from push_workloads.message.streams import ensure_log, ensure_push_queue
from push_workloads.message.trace_api import Ways, trace_route
from push_workloads.message.trim import keep_room
from push_workloads.message.unread import unread_question
from push_workloads.message.writer import HistoryMetrics, HistoryWriter

BATCH = 500
DURABLE = "history"
GROUPS_FILE = "groups.db"  # beside the file of history
_log = logging.getLogger(__name__)
parse = MessageConfig.parse


@asynccontextmanager
async def serve(config: MessageConfig, process: Process) -> AsyncIterator[None]:
    """Serves history and groups at once; writes history, and takes messages and changes, as soon as the bus is
    there."""
    traced = tracing(config.tracing, "message", config.common.instance)
    stores = _store(config, process), _groups(config.store, process)
    async with traced as tracer, stores[0] as store, stores[1] as groups, cache(config.redis) as redis:
        revoked = Revoked(redis)
        process.checks["revocations"] = revoked.waiting
        permits, office = Permits(groups, config.topics), Office(groups)
        callers = Callers(config.messages_per_second, config.messages_burst)
        known = KnownMessages(store, config.nats.shards)
        sender = Sender(callers, permits, known, process.registry)
        desk = ReceiptDesk(store, permits, process.registry)
        teller, ways = Teller(), Ways(store, groups, config.nats.shards)
        api = [
            *routes(store, permits, sender, desk, config.max_frame_bytes),
            *group_routes(groups, office, callers),
            *block_routes(groups, teller.tell),
            *topic_routes(groups, permits, teller.tell),
            *privacy_routes(groups, teller.tell),
            trace_route(ways),
        ]
        credentials = Following(redis)
        tokens = Tokens(config.tokens)
        process.checks["keys"] = tokens.waiting
        verifier = Credentialed(Unrevoked(tokens, revoked.known), credentials.known)
        app = application("message", api, verifier, config.common.origins, process.registry)
        client = DirectClient()  # for `drop_unsent` alone
        process.checks["nats"] = lambda: "not connected to NATS"
        public = serving(app, config.common.public)
        erasing, watchers = Erasing(redis, groups.forget), Watchers(groups, store, config.visible_to)
        heard, keys = beside(revoked.run(), credentials.run(), erasing.run()), fetching(tokens.sources)
        async with heard, keys, public, connected(config.nats, "message", client) as bus:
            bus.on_lost(client.drop_unsent)
            process.checks["nats"] = bus.waiting
            metrics = HistoryMetrics(process.registry)
            log = Log(bus, config.nats.shards, lambda shard: writers[shard].epoch)
            completer = Completer(bus, log, process.registry)
            shards = range(config.nats.shards)
            writers = [HistoryWriter(bus, store, shard, metrics, completer.saw, tracer) for shard in shards]
            sender.open(log)
            office.open(log)
            teller.open(bus)
            desk.open(bus, log)
            lag = HistoryLag(bus, DURABLE)
            known.open(lag)
            ways.open(log, lag)
            asked = (
                *gateway_questions(groups, permits),
                Question(questions.RECEIPTS, questions.Reports, desk.take),
                Question(questions.KNOWN, questions.KnownAsked, known.answer),
                unread_question(store, permits),
                members_question(groups),
                Question(questions.WATCH, questions.WatchAsked, watchers.answer),
            )
            consumed = Consumed(process.registry)
            consumers = [_consumer(bus, shard, writer, consumed) for shard, writer in enumerate(writers)]
            for consumer in consumers:
                process.checks[consumer.stream] = consumer.waiting
            history = _keep_history(bus, store, config, writers, consumers, completer)
            answers = answering(client, *asked, measures=Questions(process.registry))
            async with answers, beside(history, office.sweep()):
                yield


def _store(config: MessageConfig, process: Process) -> AbstractAsyncContextManager[HistoryStore]:
    if isinstance(config.store, SqliteConfig):
        return sqlite_store(config.store.path, config.retention)
    # Here: its driver costs memory and start-up time, and brings threads.
    from push_workloads.message.cassandra import cassandra_store
    from push_workloads.message.cassandra_expiry import Expiry

    return cassandra_store(config.store, process.checks, Expiry(config.retention, wall_clock))


def _groups(config: SqliteConfig | CassandraConfig, process: Process) -> AbstractAsyncContextManager[GroupStore]:
    if isinstance(config, SqliteConfig):
        return sqlite_groups(str(Path(config.path).with_name(GROUPS_FILE)))
    from push_workloads.message.groups.cassandra import cassandra_groups

    return cassandra_groups(config, process.checks)


def _consumer(bus: Bus, shard: int, writer: HistoryWriter, consumed: Consumed) -> Consumer:
    source = Source(stream_name(shard), f"log.{shard}.>", DURABLE, BATCH)
    return Consumer(bus.client, source, writer.handle, consumed)


async def _keep_history(
    bus: Bus,
    store: HistoryStore,
    config: MessageConfig,
    writers: list[HistoryWriter],
    consumers: list[Consumer],
    completer: Completer,
) -> None:
    """Makes the streams, then writes history from each shard; a lost log is made anew, under another epoch."""
    back = asyncio.Event()
    bus.on_back(back.set)
    await _ensure(bus, store, config, writers)
    await completer.open()
    trimmers = [keep_room(bus, shard, DURABLE) for shard in range(config.nats.shards)]
    twins = (look_back(bus, config.nats.shards, completer, DURABLE), completer.run())
    async with beside(*(consumer.run() for consumer in consumers), *trimmers, *twins):
        while True:
            await back.wait()
            back.clear()
            await _ensure(bus, store, config, writers)


async def _ensure(bus: Bus, store: HistoryStore, config: MessageConfig, writers: list[HistoryWriter]) -> None:
    """Tries until all streams are as they should be."""
    while True:
        try:
            for shard, writer in enumerate(writers):
                writer.epoch = await ensure_log(bus, store, config, shard)
            await ensure_push_queue(bus, config)
            return
        except Unavailable as error:
            _log.warning("the streams are not ready: %s", error.message)
            await asyncio.sleep(random.uniform(0.2, 0.6))  # noqa: S311 - spreads retries
