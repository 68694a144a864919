"""Texts of notifications by name and locale, with fields that are filled in. Pure.

A message's template is that of its kind; a `POST /push` names its own. A text holds fields in braces, `{sender}`,
`{text}`, `{conversation}`, `{kind}`, and `{data.NAME}` with as many names as the data is deep; `{{` and `}}` are
braces. There is nothing else: no attributes, no formats, no code. What is filled in is text and is not looked at again,
so that no message can bring in a field of its own.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from push_workloads.common.errors import BadRequest
from push_workloads.push.fitting import CUT, boundary

MAX_TEMPLATES: Final = 200
MAX_LOCALES: Final = 50
MAX_TITLE, MAX_BODY = 256, 1024  # characters of a pattern, and of what it comes to
FIELDS: Final = ("sender", "text", "conversation", "kind")
DATA: Final = "data"
MAX_DEPTH: Final = 4  # of names behind `data`

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)
_LOCALE: Final = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3}", re.ASCII)
_PIECE: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_DATA_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)

Title = Annotated[str, Meta(max_length=MAX_TITLE)]
Body = Annotated[str, Meta(max_length=MAX_BODY)]


class Text(Struct, frozen=True, omit_defaults=True):
    """One of the two may be empty; an empty one is not shown."""

    title: Title = ""
    body: Body = ""


class Template(Struct, frozen=True, omit_defaults=True):
    """`default` where no locale fits. `locales`: by BCP 47 tag; `de-CH` falls back to `de`. `silent`: nothing is shown,
    but the number at the app's icon follows."""

    default: Text = Text()
    locales: dict[str, Text] = {}
    silent: bool = False


SILENT: Final = Template(silent=True)
BUILT_IN: Final[Mapping[str, Template]] = {
    "text": Template(Text("{sender}", "{text}")),
    "reaction": Template(Text("{sender}", "Reacted with {text}"), {"de": Text("{sender}", "Hat mit {text} reagiert")}),
    "system": Template(Text("", "{text}")),
    "edit": SILENT,
    "delete": SILENT,
}


def checked_name(name: str) -> str:
    """Raises BadRequest."""
    if not _NAME.fullmatch(name):
        raise BadRequest("the name of a template: 1 to 64 of a-z 0-9 _ -, not beginning with _ or -")
    return name


def check(template: Template) -> None:
    """Raises BadRequest that names the text and what is wrong with it."""
    if template.silent:
        if template.locales or template.default != Text():
            raise BadRequest("silent: shows no text: leave out `default` and `locales`")
        return
    if len(template.locales) > MAX_LOCALES:
        raise BadRequest(f"locales: at most {MAX_LOCALES}")
    _check_text("default", template.default)
    tags: set[str] = set()
    for tag, text in template.locales.items():
        if not _LOCALE.fullmatch(tag):
            raise BadRequest(f"locales: {tag[:40]!r} is no locale such as de or de-CH")
        if tag.lower() in tags:
            raise BadRequest(f"locales: {tag} is there twice")
        tags.add(tag.lower())
        _check_text(f"locales.{tag}", text)


def _check_text(where: str, text: Text) -> None:
    if not text.title and not text.body:
        raise BadRequest(f"{where}: a title, a body or both")
    for name, pattern in (("title", text.title), ("body", text.body)):
        for found in _PIECE.finditer(pattern):
            if (fault := _fault(found)) is not None:
                raise BadRequest(f"{where}.{name}: {fault}")


def _fault(found: re.Match[str]) -> str | None:
    if found[0] in ("{{", "}}"):
        return None
    if found[1] is None:
        return f"a single {found[0]}: write {found[0] * 2} for a brace"
    if _is_field(found[1]):
        return None
    return f"{{{found[1][:40]}}} is no field: there are {', '.join(f'{{{one}}}' for one in FIELDS)} and {{data.NAME}}"


def _is_field(name: str) -> bool:
    root, dot, rest = name.partition(".")
    if not dot:
        return root in FIELDS
    names = rest.split(".")
    return root == DATA and len(names) <= MAX_DEPTH and all(_DATA_NAME.fullmatch(one) for one in names)


def text_for(template: Template, locale: str | None) -> Text:
    """That of the locale, or of what is left of it without its last parts, or the default."""
    by_tag = {tag.lower(): text for tag, text in template.locales.items()}
    tag = (locale or "").lower().replace("_", "-")
    while tag:
        if tag in by_tag:
            return by_tag[tag]
        tag = tag.rpartition("-")[0]
    return template.default


class Values(Struct, frozen=True):
    """What fields stand for."""

    sender: str = ""
    text: str = ""
    conversation: str = ""
    kind: str = ""
    data: Mapping[str, Any] = {}


def filled(pattern: str, values: Values, limit: int) -> str:
    """The pattern with its fields filled in, at most `limit` characters. A field of which nothing is known is empty."""

    def piece(found: re.Match[str]) -> str:
        if found[1] is None:
            return found[0][0]
        return _shown(_value(found[1], values))

    return cut(_PIECE.sub(piece, pattern).strip(), limit)


def cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: boundary(text, limit - 1)].rstrip() + CUT


def _value(field: str, values: Values) -> object:
    if not _is_field(field):
        return ""
    root, _, rest = field.partition(".")
    if root != DATA:
        return {"sender": values.sender, "text": values.text, "conversation": values.conversation, "kind": values.kind}[
            root
        ]
    held: Any = values.data
    for name in rest.split("."):
        held = held.get(name) if isinstance(held, Mapping) else None
    return held


def _shown(value: object) -> str:
    """Text and numbers as they are, without what would steer a screen: control characters but line breaks, and those
    that turn the direction of what follows."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return "".join(
        one for one in str(value) if one == "\n" or unicodedata.category(one) not in _UNSEEN or one in _JOINERS
    )


_UNSEEN: Final = ("Cc", "Cf", "Cs", "Co")
_JOINERS: Final = "\u200c\u200d"  # without them emoji and some scripts fall apart
