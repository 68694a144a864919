/**
 * What is on the screen, made from plain values. Everything that people wrote goes in as text, never as markup.
 */

import { isChannel } from "./client.js";
import { shortName } from "./conversations.js";

const HUES = 6;
const MANY = 100; // unread messages: the platform counts no further
const NEAR_END_PX = 80;
export const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const withYear = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long", year: "numeric" });
const shortDate = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

export const $ = (id) => document.getElementById(id);

export function nameOf(person) {
  return person.name || shortName(person.id);
}

export function element(tag, className = "", text = null) {
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
export function reconcile(parent, items, create, update) {
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

export function dayOf(time) {
  return new Date(time).toDateString();
}

export function dayName(time) {
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
  node.dataset.group = String(isChannel(person.id));
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
    setText(part(".unread"), person.unread >= MANY ? `${MANY - 1}+` : String(person.unread));
    part(".unread").hidden = person.unread === 0;
    setText(part(".status"), `${person.unread ? `, ${person.unread} unread` : ""}${status ? `, ${status}` : ""}`);
  });
  $("people-empty").hidden = people.length > 0;
}

/** `typing`: the names of those who do. */
export function showPeer(person, status, connection, typing) {
  showAvatar($("peer-avatar"), person, status);
  setText($("peer-name"), nameOf(person));
  const words = { online: "Online", away: "Away", offline: "Offline" };
  const here = isChannel(person.id) ? "Group" : (words[status] ?? "");
  const now = typing.length > 0 ? typingText(person, typing) : here;
  setText($("peer-status"), connection.name === "connected" ? now : withoutCause(connection));
  $("peer-status").classList.toggle("typing", typing.length > 0);
}

function typingText(person, names) {
  if (!isChannel(person.id)) return "typing…";
  if (names.length > 2) return "several people are typing…";
  return `${names.join(" and ")} ${names.length > 1 ? "are" : "is"} typing…`;
}

export function showMembers(members, { nameOf: named, mayRemove, remove, more }) {
  const items = members.map((member) => ({ key: member.user_id, member }));
  const create = ({ member }) => {
    const item = element("li", "member");
    const button = element("button", "quiet", "Remove");
    button.type = "button";
    button.addEventListener("click", () => remove(member.user_id));
    item.append(element("span", "name"), element("span", "role"), button);
    return item;
  };
  reconcile($("group-members"), items, create, (item, { member }) => {
    setText(item.querySelector(".name"), named(member.user_id));
    setText(item.querySelector(".role"), member.role === "member" ? "" : member.role);
    item.querySelector("button").hidden = !mayRemove(member);
  });
  $("group-more").hidden = !more;
}

// Place and time of reading ------------------------------------------------------------------------------------------

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
  ended: "This session was ended from another device",
  elsewhere: "Offline: this window was opened a second time",
  misused: "Offline: the platform does not understand this page; load it again",
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
