/** What the page remembers of people and their messages. No page elements here, and no network. */

const PREVIEW_CHARACTERS = 120;
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
  return `User ${userId.replace(/[^A-Za-z0-9]/g, "").slice(-6) || userId}`;
}

/** The messages with one person: confirmed ones by (sent_at, message_id), then what is on its way. */
export class Conversation {
  #confirmed = new Map(); // message_id -> message
  #unsettled = new Map(); // dedup_id -> message
  next = null; // cursor of the page before the oldest one loaded
  loaded = false;
  stale = true; // something may have been missed; reload before it is shown

  constructor(me) {
    this.me = me;
  }

  has(messageId) {
    return this.#confirmed.has(messageId);
  }

  /** Adds what came by socket or from the history; what is known already is left alone. */
  add(frame) {
    if (this.has(frame.message_id) || !isShown(frame)) return false;
    this.#confirmed.set(frame.message_id, {
      key: frame.message_id,
      messageId: frame.message_id,
      mine: frame.from === this.me,
      text: textOf(frame.content),
      formatted: typeof frame.content !== "string",
      sentAt: millis(frame.sent_at),
      state: "sent",
    });
    return true;
  }

  /** Takes over the present state of a send. A confirmed one keeps its key, so that it stays the same line. */
  track(entry) {
    const { dedupId, content, createdAt, state, error } = entry;
    const text = textOf(content);
    const formatted = typeof content !== "string";
    const message = { key: dedupId, mine: true, text, formatted, sentAt: createdAt, state, error };
    if (state === "pending" || state === "failed") return void this.#unsettled.set(dedupId, message);
    this.#unsettled.delete(dedupId);
    if (state === "withdrawn" || this.has(entry.messageId)) return undefined; // a reload was faster than the ack
    Object.assign(message, { messageId: entry.messageId, sentAt: millis(entry.sentAt) });
    return void this.#confirmed.set(entry.messageId, message);
  }

  /** Forgets the confirmed messages: too much was missed to join it to what is known. */
  reset() {
    this.#confirmed.clear();
    this.next = null;
  }

  get messages() {
    const confirmed = [...this.#confirmed.values()].sort(byTime);
    return [...confirmed, ...this.#unsettled.values()];
  }
}

function isShown({ kind }) {
  return kind === undefined || kind === null || kind === "text" || kind === "system"; // others are for richer clients
}

function byTime(a, b) {
  return a.sentAt - b.sentAt || (a.messageId < b.messageId ? -1 : 1);
}

function millis(time) {
  return typeof time === "number" ? time : Date.parse(time);
}

/** The list of people, kept per user in the given storage. */
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

  read(id) {
    this.add(id).unread = 0;
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
