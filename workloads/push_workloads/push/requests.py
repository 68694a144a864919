"""What `POST /push` takes, and the jobs that it comes to. Pure.

A request has a `push_id`: that of its `dedup_id`, if it has one, so that the same request sent again is the same push.
All its jobs have the push id as their message id, and each a job id of its own. No message stands behind them: their
channel is "".
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from push_workloads.common.errors import BadRequest
from push_workloads.common.ids import message_id_of, uuid7
from push_workloads.common.outgoing import CALL_IS_TOLD, DedupId, UserId
from push_workloads.common.push_jobs import Hint, PushJob
from push_workloads.common.subjects import BadId, token
from push_workloads.common.tokens import SERVICE
from push_workloads.push.policy import MAX_TTL_S
from push_workloads.push.templates import Body, Title

MAX_USERS: Final = 500
MAX_AHEAD_MS: Final = 30 * 86_400_000
MAX_DATA_BYTES: Final = 2048
DEFAULT_TEMPLATE: Final = "system"
TARGET: Final = "push"  # beside SERVICE and the dedup_id, what a push id is made of

TemplateName = Annotated[str, Meta(min_length=1, max_length=64)]
CollapseKey = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[!-~]+\Z")]
TtlSeconds = Annotated[int, Meta(ge=0, le=MAX_TTL_S)]


class Shown(Struct, kw_only=True, omit_defaults=True):
    """What a push shows: `title` and `body` as they are, or those of a template with `data` filled in. `silent`:
    nothing; the app gets its `data` in the background. `ttl_s`: from `send_at`, or from now, on; nobody is told
    later."""

    title: Title | None = None
    body: Body | None = None
    template: TemplateName | None = None
    data: dict[str, Any] | None = None
    collapse_key: CollapseKey | None = None
    ttl_s: TtlSeconds | None = None
    silent: bool = False


class NewPush(Shown, kw_only=True):
    """`send_at`: Unix milliseconds. `call`: phones ring."""

    user_ids: Annotated[list[UserId], Meta(min_length=1, max_length=MAX_USERS)]
    call: bool = False
    send_at: int | None = None
    dedup_id: DedupId | None = None


class Stage(StrEnum):
    """ACCEPTED: written down and not on the queue yet."""

    ACCEPTED = "accepted"
    SCHEDULED = "scheduled"
    QUEUED = "queued"
    CANCELLED = "cancelled"


class Request(NamedTuple):
    """What is kept of one. `digest`: of what was asked, so that another request with the same `dedup_id` is seen.
    `send_at` None: at once."""

    push_id: str
    digest: bytes
    users: int
    created_at: int
    send_at: int | None
    stage: Stage = Stage.ACCEPTED

    def stage_at(self, now_ms: int) -> Stage:
        """A push whose time has come is not scheduled any more."""
        due = self.send_at is None or self.send_at <= now_ms
        return Stage.QUEUED if self.stage is Stage.SCHEDULED and due else self.stage


def check(shown: Shown) -> None:
    """Raises BadRequest that names the field."""
    words = shown.title is not None or shown.body is not None
    if shown.silent and (words or shown.template is not None):
        raise BadRequest("silent: shows nothing: leave out title, body and template")
    if shown.silent and not shown.data:
        raise BadRequest("data: required with silent: there is nothing else in it")
    if not shown.silent and words == (shown.template is not None):
        raise BadRequest("one of the two is required: a title or body, or a template")
    if words and not (shown.title or shown.body):
        raise BadRequest("title, body: both are empty")
    if len(msgspec.json.encode(shown.data)) > MAX_DATA_BYTES:
        raise BadRequest(f"data: over {MAX_DATA_BYTES} bytes of JSON: send an id, and have the app fetch the rest")


def check_call(asked: NewPush) -> None:
    """Raises BadRequest."""
    if asked.call and asked.silent:
        raise BadRequest(CALL_IS_TOLD)


def check_time(send_at: int | None, now_ms: int) -> None:
    """Raises BadRequest."""
    if send_at is not None and not 0 <= send_at <= now_ms + MAX_AHEAD_MS:
        raise BadRequest(f"send_at: Unix milliseconds, at most {MAX_AHEAD_MS // 86_400_000} days ahead")


def check_users(user_ids: Sequence[str]) -> None:
    """Raises BadRequest."""
    if len(set(user_ids)) < len(user_ids):
        raise BadRequest("user_ids: each only once")
    for user_id in user_ids:
        try:
            token(user_id)
        except BadId as error:
            raise BadRequest(f"user_ids: {error}") from error


def request_of(asked: NewPush, now_ms: int, entropy: bytes) -> Request:
    """`entropy`: 10 random bytes or more."""
    dedup_id = asked.dedup_id
    push_id = uuid7(now_ms, entropy) if dedup_id is None else message_id_of(SERVICE, TARGET, dedup_id)
    digest = hashlib.blake2b(msgspec.json.encode(asked, order="sorted"), digest_size=16).digest()
    return Request(push_id, digest, len(asked.user_ids), now_ms, asked.send_at)


def hint_of(shown: Shown) -> Hint:
    return Hint(shown.title, shown.body, shown.data, shown.collapse_key, shown.ttl_s, shown.silent)


def jobs_of(asked: NewPush, request: Request) -> list[PushJob]:
    """One for each user. The kind of a job chooses its template."""
    at = request.created_at if request.send_at is None else max(request.send_at, request.created_at)
    kind, hint = asked.template or DEFAULT_TEMPLATE, replace(hint_of(asked), call=asked.call)
    return [
        PushJob(job_id(request.push_id, user_id), user_id, request.push_id, "", 0, SERVICE, at, hint=hint, kind=kind)
        for user_id in asked.user_ids
    ]


def job_id(push_id: str, user_id: str) -> str:
    return f"{push_id}:{token(user_id)}"
