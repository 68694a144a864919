/** What the page remembers of people, groups and their messages. No page elements here, and no network. */

import { fold, isChannel } from "./client.js";

const PREVIEW_CHARACTERS = 120;
const DELETED = "This message was deleted";
const MAX_ID_BYTES = 128;

/** `content` is any JSON value; people see text as it is and everything else as formatted JSON. */
export function textOf(content) {
  return typeof content === "string" ? content : JSON.stringify(content, null, 2);
}

/** The user id in what somebody pasted: an invitation link, or the id itself. Empty if there is none. */
export function idFrom(pasted) {
  const text = pasted.trim();
  if (!/^https?:\/\//i.test(text)) return isId(text) ? text : "";
  try {
    const asked = new URL(text).searchParams.get("to") ?? "";
    return isId(asked) ? asked : "";
  } catch {
    return "";
  }
}

/** Whom an address asks to talk to: `?to=ID`, with a name if the inviter has one. */
export function invited(search) {
  const query = new URLSearchParams(search);
  return { id: idFrom(query.get("to") ?? ""), name: (query.get("name") ?? "").slice(0, 80) };
}

function isId(text) {
  return /^[^\s,]+$/.test(text) && new TextEncoder().encode(text).length <= MAX_ID_BYTES;
}

/** Nobody has to read an id to tell two people apart. */
export function shortName(userId) {
  if (isChannel(userId)) return "Group";
  return `User ${userId.replace(/[^A-Za-z0-9]/g, "").slice(-6) || userId}`;
}

/** A place in a conversation: messages are ordered by (sent_at, message_id). */
function isUpTo({ sentAt, messageId }, place) {
  return sentAt < place.sentAt || (sentAt === place.sentAt && messageId <= place.messageId);
}

/**
 * The messages of one conversation: what is confirmed, then what is on its way. Edits, deletions and reactions are
 * messages too, and are folded into what they are about.
 */
export class Conversation {
  #frames = new Map(); // message_id -> message, as socket and history give it
  #keys = new Map(); // message_id -> dedup_id of what was sent here: it stays the same line
  #unsettled = new Map(); // dedup_id -> send
  #marks = { delivered: new Map(), read: new Map() }; // user id -> how far the others are
  typists = new Set();
  next = null; // cursor of the page before the oldest one loaded
  loaded = false;
  stale = true; // something may have been missed; reload before it is shown
  told = null; // the newest message that was told as read

  constructor(me) {
    this.me = me;
  }

  has(messageId) {
    return this.#frames.has(messageId);
  }

  /** Adds what came by socket or from the history; false for what is known already. */
  add(frame) {
    if (this.has(frame.message_id)) return false;
    this.#frames.set(frame.message_id, { ...frame, sent_at: millis(frame.sent_at) });
    return true;
  }

  /** Takes over the present state of a send. */
  track(entry) {
    const { dedupId, state, messageId } = entry;
    if (state === "pending" || state === "failed") return void this.#unsettled.set(dedupId, entry);
    this.#unsettled.delete(dedupId);
    if (state === "withdrawn") return undefined;
    if (!this.has(messageId)) this.#keys.set(messageId, dedupId); // else a reload was faster than the ack
    return void this.add(this.#frameOf(entry, messageId, entry.sentAt));
  }

  #frameOf({ conversation, content, more = {} }, messageId, sentAt) {
    return { message_id: messageId, from: this.me, conversation, content, sent_at: sentAt, kind: "text", ...more };
  }

  /** Forgets the confirmed messages: too much was missed to join it to what is known. */
  reset() {
    this.#frames.clear();
    this.next = null;
  }

  /** Somebody else has received or read everything up to a place. */
  mark(kind, userId, { sent_at: sentAt, message_id: messageId }) {
    const known = this.#marks[kind].get(userId);
    const place = { sentAt: millis(sentAt), messageId };
    if (known === undefined || isUpTo(known, place)) this.#marks[kind].set(userId, place);
  }

  /** The newest message of somebody else. */
  get newestOfOthers() {
    return this.messages.findLast(({ mine, system }) => !mine && !system)?.messageId ?? null;
  }

  get messages() {
    const unsettled = [...this.#unsettled.values()];
    const changes = unsettled.filter(({ more, state }) => isChange(more) && state === "pending");
    const guessed = changes.map((entry) => this.#frameOf(entry, entry.dedupId, Number.MAX_SAFE_INTEGER));
    const confirmed = fold([...this.#frames.values(), ...guessed]).map((shown) => this.#line(shown));
    return [...confirmed, ...unsettled.filter(({ more }) => !isChange(more)).map((entry) => this.#sending(entry))];
  }

  #line({ message, content, edited, deleted, reactions }) {
    const { message_id: messageId, from, sent_at: sentAt, kind } = message;
    const key = this.#keys.get(messageId) ?? messageId;
    const line = { key, messageId, from, mine: from === this.me, sentAt, message };
    const seen = { state: "sent", edited, deleted, system: kind === "system", content, mark: this.#markOf(line) };
    const shownReactions = [...reactions].map(([emoji, users]) => ({ emoji, users, mine: users.includes(this.me) }));
    const words = deleted ? { text: DELETED, formatted: false } : written(content);
    return { ...line, ...seen, ...words, reactions: shownReactions };
  }

  #sending({ dedupId, content, createdAt, state, error }) {
    const line = { key: dedupId, from: this.me, mine: true, sentAt: createdAt, state, error, reactions: [] };
    return { ...line, ...written(content) };
  }

  #markOf(line) {
    const reached = (kind) => [...this.#marks[kind].values()].some((place) => isUpTo(line, place));
    return reached("read") ? "read" : reached("delivered") ? "delivered" : "sent";
  }
}

function isChange(more) {
  return (more?.kind ?? "text") !== "text";
}

function written(content) {
  return { text: textOf(content), formatted: typeof content !== "string" };
}

function millis(time) {
  return typeof time === "number" ? time : Date.parse(time);
}

/** The list of people and groups, kept per user in the given storage. */
export class People {
  #storage;
  #key;
  #people;

  constructor(storage, me) {
    this.#storage = storage;
    this.#key = `push.people.${me}`;
    this.#people = new Map(readJson(storage, this.#key, []).map((person) => [person.id, person]));
  }

  get(id) {
    return this.#people.get(id);
  }

  /** Latest talk first. */
  get list() {
    return [...this.#people.values()].sort((a, b) => b.at - a.at);
  }

  get unread() {
    return this.list.reduce((sum, person) => sum + person.unread, 0);
  }

  add(id, name = "") {
    const known = this.#people.get(id);
    if (known === undefined) this.#people.set(id, { id, name, last: "", mine: false, at: Date.now(), unread: 0 });
    else if (name && !known.name) known.name = name;
    this.#save();
    return this.#people.get(id);
  }

  rename(id, name) {
    this.add(id).name = name.trim();
    this.#save();
  }

  remove(id) {
    this.#people.delete(id);
    this.#save();
  }

  /** The newest message becomes the preview. */
  preview(id, { text, mine, sentAt }) {
    const person = this.add(id);
    if (person.last && sentAt < person.at) return;
    Object.assign(person, { last: text.slice(0, PREVIEW_CHARACTERS), mine, at: sentAt });
    this.#save();
  }

  countUnread(id) {
    this.add(id).unread += 1;
    this.#save();
  }

  setUnread(id, count) {
    this.add(id).unread = count;
    this.#save();
  }

  #save() {
    writeJson(this.#storage, this.#key, [...this.#people.values()]);
  }
}

/** Storage may be full, forbidden, or hold something older: the page works without it. */
export function readJson(storage, key, fallback) {
  try {
    return JSON.parse(storage.getItem(key)) ?? fallback;
  } catch {
    return fallback;
  }
}

export function writeJson(storage, key, value) {
  try {
    storage.setItem(key, JSON.stringify(value));
  } catch {
    // Kept in memory only, until the page is closed.
  }
}
