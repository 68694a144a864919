"""Which entries of the log become push jobs, and what is in them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_workloads.common import push_jobs
from push_workloads.common.changes import Change
from push_workloads.common.push_jobs import GroupJob, Hint, PushJob
from push_workloads.common.subjects import group, inbox_subject, token
from push_workloads.message.jobs import CONTENT_BYTES, LogPlace, job_for, queued
from push_workloads.message.model import Payload

IDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)


def payload(sender: str, conversation: str, recipient_id: str | None = None, **more: Any) -> Payload:
    content = msgspec.Raw(more.pop("content", b'"hello"'))
    return Payload("m1", sender, conversation, content, 99, recipient_id, **more)


def at(channel: str) -> LogPlace:
    return LogPlace(channel, "e1", 7)


def test_a_direct_message_is_told_to_its_recipient() -> None:
    job = job_for(at("u.bob"), payload("ann", "ann", "bob"), '{"title":"Ann","ttl_s":5}')
    assert job == PushJob(
        "m1", "bob", "m1", "user:bob", 7, "ann", 99, "hello", Hint(title="Ann", ttl_s=5), "e1", "user:ann"
    )


def test_a_message_of_a_group_is_one_job() -> None:
    job = job_for(at("g.a=2Eb"), payload("ann", "group:a.b"), None)
    inner = PushJob("m1", "", "m1", "group:a.b", 7, "ann", 99, "hello", None, "e1", "group:a.b")
    assert job == GroupJob("a.b", inner)
    assert queued(job)[:2] == ("push.groups.a=2Eb", "m1")
    assert push_jobs.decode_group(queued(job).payload) == job


def change(what: str, by: str, *users: str) -> Change:
    made: Any = {"change": what, "message_id": "c1", "group_id": "team", "by": by, "sent_at": 99, "user_ids": [*users]}
    return Change(**made, name="The team", role="member")


def test_who_is_added_is_told_and_each_by_a_job_of_their_own() -> None:
    job = job_for(at("u.bob"), change("added", "ann", "bob"), None)
    assert isinstance(job, PushJob)
    assert (job.kind, job.conversation, job.channel, job.seq) == ("system", "group:team", "user:bob", 7)
    assert job.content == {"change": "added", "name": "The team", "role": "member"}
    other = job_for(at("u.eve"), change("added", "ann", "eve"), None)
    assert isinstance(other, PushJob)
    assert (job.message_id, job.job_id) != (other.message_id, other.job_id)
    assert job.message_id == other.message_id == "c1"


@pytest.mark.parametrize(
    ("channel", "entry"),
    [
        ("u.ann", payload("ann", "bob", "bob")),  # the sender's own copy
        ("u.ann", payload("ann", "ann", "ann")),  # a note to oneself
        ("t.news", payload("ann", "topic:news")),
        *(("u.bob", payload("ann", "ann", "bob", kind=kind, ref="m0")) for kind in ("edit", "delete", "reaction")),
        *(("g.team", payload("ann", "group:team", kind=kind, ref="m0")) for kind in ("edit", "delete", "reaction")),
        ("u.bob", change("added", "bob", "bob")),  # who makes a group is in it
        *(("u.bob", change(what, "ann", "bob")) for what in ("removed", "role", "renamed", "deleted")),
        *(("g.team", change(what, "ann", "bob")) for what in ("added", "removed", "renamed", "deleted")),
    ],
)
def test_nobody_is_told(channel: str, entry: Payload | Change) -> None:
    assert job_for(at(channel), entry, None) is None


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (b'"x"', "x"),
        (b'"%b"' % (b"x" * (CONTENT_BYTES - 2)), "x" * (CONTENT_BYTES - 2)),
        (b'"%b"' % (b"x" * (CONTENT_BYTES - 1)), None),
        (b'"\\ud800"', None),
        (b"[" * 2000, None),
    ],
)
@pytest.mark.parametrize("hint", [None, "", "{", '{"ttl_s":"x"}', '{"title":"\\ud800"}'])
def test_what_a_notification_cannot_show_is_left_out(content: bytes, shown: str | None, hint: str | None) -> None:
    job = job_for(at("u.bob"), payload("ann", "ann", "bob", content=content), hint)
    assert isinstance(job, PushJob)
    assert (job.content, job.hint) == (shown, None)
    assert push_jobs.decode(queued(job).payload) == job


@given(sender=IDS, recipient=IDS)
def test_hostile_ids_are_carried_whole(sender: str, recipient: str) -> None:
    """The subject is the recipient's alone, whatever signs an id has; a group's too."""
    direct = job_for(at(inbox_subject(recipient)), payload(sender, sender, recipient), None)
    assert (direct is None) == (sender == recipient)
    if isinstance(direct, PushJob):
        assert (direct.user_id, direct.conversation) == (recipient, f"user:{sender}")
        assert queued(direct).subject == f"push.jobs.{token(recipient)}"
        assert push_jobs.decode(queued(direct).payload) == direct
    whole = job_for(at(f"g.{token(recipient)}"), payload(sender, group(recipient)), None)
    assert isinstance(whole, GroupJob)
    assert (whole.group_id, whole.job.conversation) == (recipient, group(recipient))
    assert queued(whole).subject == f"push.groups.{token(recipient)}"
