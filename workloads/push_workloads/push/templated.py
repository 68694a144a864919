"""Renders jobs with templates: what the sender asked for in so many words comes first, then the template of the job's
kind in the device's language."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final

from msgspec.structs import replace

from push_workloads.common.errors import Unavailable
from push_workloads.common.looking import Trouble, look_again
from push_workloads.common.push_jobs import PushJob
from push_workloads.push.books.ports import TemplateStore
from push_workloads.push.devices import Device
from push_workloads.push.notification import Notification, Show
from push_workloads.push.rendering import Renderer, text_of
from push_workloads.push.templates import (
    BUILT_IN,
    MAX_BODY,
    MAX_TITLE,
    Template,
    Values,
    cut,
    filled,
    text_for,
)

LOOK_SECONDS: Final = 5.0
SETTLE_MS: Final = 15_000
_log = logging.getLogger(__name__)


class TemplateBook:
    """All templates, in memory: read again every LOOK_SECONDS, so that a change counts everywhere after so long."""

    def __init__(self, store: TemplateStore) -> None:
        self._store = store
        self._own: Mapping[str, Template] = {}

    def of(self, name: str) -> Template | None:
        """The customer's own, or the built-in one; None when there is none of this name, or not here yet."""
        return self._own.get(name) or BUILT_IN.get(name)

    async def read(self) -> None:
        """Raises Unavailable."""
        self._own = await self._store.templates()

    async def run(self) -> None:
        """Until cancelled."""
        await look_again(self.read, lambda: asyncio.sleep(LOOK_SECONDS), Trouble(_log, "templates are not read"))


class Templated:
    """A Renderer. `plain` says how a job is shown at all; here its words are chosen. `now_ms` is the clock."""

    def __init__(self, plain: Renderer, book: TemplateBook, now_ms: Callable[[], int]) -> None:
        self._plain = plain
        self._book = book
        self._now_ms = now_ms

    def render(self, job: PushJob, device: Device, badge: int | None) -> Notification:
        """Raises Unavailable for a young job whose template may have been made a moment ago on another replica; when
        it is still not known later, it was removed."""
        template = self._book.of(job.kind)
        if template is None and self._now_ms() < job.sent_at + SETTLE_MS:
            raise Unavailable("the template is not known here yet", retry_after_ms=1000)
        made = self._plain.render(job, device, badge)
        return worded(made, job, device.locale, template or BUILT_IN["system"])


def worded(made: Notification, job: PushJob, locale: str | None, template: Template) -> Notification:
    """The notification in the words of the sender or of the template. Pure."""
    hint = job.hint
    title, body = (hint.title, hint.body) if hint is not None else (None, None)
    if made.show not in (Show.ALERT, Show.VOIP):
        return made
    if title is None and body is None:
        if template.silent:
            return _wordless(made)
        text, values = text_for(template, locale), values_of(job)
        title, body = filled(text.title, values, MAX_TITLE), filled(text.body, values, MAX_BODY)
    if not title and not body:  # a template that was removed, or one whose fields are all empty
        return _wordless(made)
    return replace(made, title=cut(title or "", MAX_TITLE) or None, body=cut(body or "", MAX_BODY) or None)


def _wordless(made: Notification) -> Notification:
    """Of an alert nothing but the badge is left. A call rings all the same: the app knows who calls by its data."""
    show = made.show if made.show is Show.VOIP else Show.BADGE
    return replace(made, show=show, title=None, body=None)


def values_of(job: PushJob) -> Values:
    data = job.hint.data if job.hint is not None else None
    return Values(job.sender, text_of(job.content) or "", job.conversation, job.kind, data or {})
