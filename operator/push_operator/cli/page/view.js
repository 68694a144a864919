/**
 * What is on the screen, made from plain values. Everything that people wrote goes in as text, never as markup.
 */

import { shortName } from "./conversations.js";

const HUES = 6;
const GROUP_MS = 5 * 60_000; // messages of one person within this time stand close together
const NEAR_END_PX = 80;
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const withYear = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long", year: "numeric" });
const shortDate = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

export const $ = (id) => document.getElementById(id);

export function nameOf(person) {
  return person.name || shortName(person.id);
}

function element(tag, className = "", text = null) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== null) made.textContent = text;
  return made;
}

/** Sets a text only if it differs, so that selections survive and live regions stay quiet. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Makes the children of `parent` show `items` in order; a child whose key is still there is updated in place. */
function reconcile(parent, items, create, update) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const child = old.get(item.key) ?? create(item);
    child.dataset.key = item.key;
    old.delete(item.key);
    update(child, item);
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
  }
  for (const child of old.values()) child.remove();
}

// Time ---------------------------------------------------------------------------------------------------------------

function dayOf(time) {
  return new Date(time).toDateString();
}

function dayName(time) {
  const now = new Date();
  const yesterday = new Date(now.getFullYear(), now.getMonth(), now.getDate() - 1);
  if (dayOf(time) === now.toDateString()) return "Today";
  if (dayOf(time) === yesterday.toDateString()) return "Yesterday";
  return (new Date(time).getFullYear() === now.getFullYear() ? weekday : withYear).format(time);
}

function shortTime(time) {
  return (dayOf(time) === new Date().toDateString() ? clock : shortDate).format(time);
}

// People -------------------------------------------------------------------------------------------------------------

function showAvatar(node, person, status) {
  const words = nameOf(person).split(/\s+/).filter(Boolean);
  const letters = person.name ? words.map((word) => [...word][0]).slice(0, 2) : [...person.id].slice(-2);
  setText(node, letters.join("").toUpperCase());
  node.dataset.hue = [...person.id].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 9973, 7) % HUES;
  node.dataset.status = status ?? "unknown";
}

export function showPeople(people, { openId, presence, choose }) {
  const items = people.map((person) => ({ key: person.id, person }));
  const create = ({ person }) => {
    const item = element("li");
    const button = element("button", "person");
    const lines = element("span", "lines");
    const side = element("span", "side");
    button.type = "button";
    button.addEventListener("click", () => choose(person.id));
    lines.append(element("span", "name"), element("span", "last"));
    side.append(element("time"), element("span", "unread"));
    button.append(element("span", "avatar"), lines, side, element("span", "hidden status"));
    button.querySelector(".avatar").setAttribute("aria-hidden", "true");
    item.append(button);
    return item;
  };
  reconcile($("people-list"), items, create, (item, { person }) => {
    const part = (name) => item.querySelector(name);
    const status = presence.get(person.id);
    part(".person").setAttribute("aria-current", String(person.id === openId));
    showAvatar(part(".avatar"), person, status);
    setText(part(".name"), nameOf(person));
    setText(part(".last"), person.last ? `${person.mine ? "You: " : ""}${person.last}` : "No messages yet");
    setText(part("time"), person.last ? shortTime(person.at) : "");
    setText(part(".unread"), String(person.unread));
    part(".unread").hidden = person.unread === 0;
    setText(part(".status"), `${person.unread ? `, ${person.unread} unread` : ""}${status ? `, ${status}` : ""}`);
  });
  $("people-empty").hidden = people.length > 0;
}

export function showPeer(person, status, connection) {
  showAvatar($("peer-avatar"), person, status);
  setText($("peer-name"), nameOf(person));
  const words = { online: "Online", away: "Away", offline: "Offline" };
  setText($("peer-status"), connection.name === "connected" ? (words[status] ?? "") : withoutCause(connection));
}

// Messages -----------------------------------------------------------------------------------------------------------

function lines(messages) {
  const items = [];
  let before = null;
  for (const message of messages) {
    const newDay = before === null || dayOf(before.sentAt) !== dayOf(message.sentAt);
    if (newDay) items.push({ key: `day ${dayOf(message.sentAt)}`, day: dayName(message.sentAt) });
    const follows = !newDay && before.mine === message.mine && message.sentAt - before.sentAt < GROUP_MS;
    if (follows) items.at(-1).quiet = before.state === message.state; // one time for a group is enough
    items.push({ key: message.key, message, follows });
    before = message;
  }
  return items;
}

export function showMessages(conversation, peerName, retry) {
  const scroll = $("scroll");
  const atEnd = isAtEnd();
  const fromEnd = scroll.scrollHeight - scroll.scrollTop;
  const create = ({ day, message }) => (day === undefined ? createMessage(message, retry) : element("li", "day"));
  const messages = conversation.messages;
  const oldest = $("messages").querySelector(".message")?.dataset.key;
  reconcile($("messages"), lines(messages), create, (item, line) => {
    if (line.day !== undefined) setText(item, line.day);
    else updateMessage(item, line, peerName);
  });
  $("older").hidden = conversation.next === null;
  $("history-empty").hidden = messages.length > 0 || !conversation.loaded;
  if (atEnd) scrollToEnd();
  else if (messages.length > 0 && oldest !== messages[0].key) scroll.scrollTop = scroll.scrollHeight - fromEnd;
}

function createMessage(message, retry) {
  const item = element("li", "message");
  const note = element("p", "note");
  const again = element("button", "", "Try again");
  again.type = "button";
  again.addEventListener("click", () => retry(item.dataset.key));
  note.append(element("span", "words"), element("time"), element("span", "tick"), again);
  note.querySelector(".tick").setAttribute("aria-hidden", "true");
  item.append(element("p", "hidden author"), element("div", "bubble"), note);
  return item;
}

function updateMessage(item, { message, follows, quiet = false }, peerName) {
  const part = (name) => item.querySelector(name);
  item.classList.toggle("mine", message.mine);
  item.classList.toggle("follows", follows);
  item.classList.toggle("quiet-time", quiet && message.state === "sent");
  item.dataset.state = message.state;
  setText(part(".author"), message.mine ? "You wrote:" : `${peerName} wrote:`);
  part(".bubble").classList.toggle("code", message.formatted);
  part(".bubble").dir = "auto";
  setText(part(".bubble"), message.text);
  const words = { pending: "Sending…", failed: `Not sent: ${message.error?.message}.`, sent: "" };
  setText(part(".words"), words[message.state]);
  setText(part("time"), message.state === "sent" ? clock.format(message.sentAt) : "");
  part("time").dateTime = new Date(message.sentAt).toISOString();
  part(".tick").hidden = !(message.mine && message.state === "sent");
  setText(part(".tick"), "✓");
  part("button").hidden = message.state !== "failed";
}

export function isAtEnd() {
  const scroll = $("scroll");
  return scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < NEAR_END_PX;
}

export function scrollToEnd() {
  const scroll = $("scroll");
  scroll.scrollTop = scroll.scrollHeight;
}

/** The field for a message grows with what is written. */
export function fitDraft() {
  const draft = $("draft");
  draft.style.height = "auto";
  draft.style.height = `${draft.scrollHeight + 2}px`;
}

/** Read out by screen readers; once for each message, however often the list is drawn. */
export function announce(text) {
  const line = element("p", "", text);
  $("announcer").append(line);
  setTimeout(() => line.remove(), 5_000);
}

// State of things ----------------------------------------------------------------------------------------------------

const STOPPED = {
  expired: "Your session has ended",
  elsewhere: "Offline: this window was opened a second time",
};

export function connectionText({ name, reason, retryAt }) {
  if (name === "connected") return "Connected";
  if (name === "connecting") return "Connecting…";
  if (name === "stopped") return STOPPED[reason] ?? "Offline";
  return `${withoutCause({ name, reason, retryAt })} (${navigator.onLine ? reason : "this computer is offline"})`;
}

function withoutCause(state) {
  if (state.name !== "waiting") return connectionText(state);
  return `Reconnecting in ${Math.max(0, Math.ceil((state.retryAt - Date.now()) / 1000))} s`;
}

export function showConnection(state) {
  $("connection").dataset.state = state.name;
  const text = connectionText(state);
  setText($("connection-text"), text);
  $("connection").title = text;
}

/** `components` null: even the page's own server did not answer. */
export function showHealth(components) {
  const short = (components ?? []).filter(({ ready, desired }) => ready < desired);
  const health = components === null || components.length === 0 ? "unknown" : short.length > 0 ? "warn" : "good";
  $("health").dataset.health = components === null ? "bad" : health;
  const texts = { good: "All ready", warn: `${short.length} not ready`, unknown: "Starting" };
  setText($("health-text"), components === null ? "Platform away" : texts[health]);
  const items = (components ?? []).map((component) => ({ key: component.name, component }));
  const create = () => {
    const row = element("tr");
    row.append(element("td"), element("td"));
    return row;
  };
  reconcile($("health-rows"), items, create, (row, { component: { name, ready, desired } }) => {
    setText(row.children[0], name);
    setText(row.children[1], `${ready} / ${desired}`);
    row.children[1].classList.toggle("short", ready < desired);
  });
}

/** A line over everything. `action` is {label, run}; without one it can be dismissed. */
export function showBanner(text, action = null) {
  $("banner").hidden = text === "";
  setText($("banner-text"), text);
  $("banner-action").hidden = action === null;
  $("banner-close").hidden = action !== null;
  setText($("banner-action"), action?.label ?? "");
  $("banner-action").onclick = action?.run ?? null;
}

export function showProblem(id, text) {
  $(id).hidden = text === "";
  setText($(id), text);
}
