/** The lines of a conversation. Everything that people wrote goes in as text, never as markup. */

import { $, clock, dayName, dayOf, element, isAtEnd, reconcile, scrollToEnd, setText } from "./view.js";

const GROUP_MS = 5 * 60_000; // messages of one person within this time stand close together
const TICKS = { sent: "✓", delivered: "✓✓", read: "✓✓" };

function lines(messages) {
  const items = [];
  let before = null;
  for (const message of messages) {
    const newDay = before === null || dayOf(before.sentAt) !== dayOf(message.sentAt);
    if (newDay) items.push({ key: `day ${dayOf(message.sentAt)}`, day: dayName(message.sentAt) });
    const follows = !newDay && !message.system && before.from === message.from && !before.system;
    const close = follows && message.sentAt - before.sentAt < GROUP_MS;
    // One time for a group is enough, as long as it says the same of all.
    if (close) items.at(-1).quiet = before.state === message.state && before.mark === message.mark && !before.edited;
    items.push({ key: message.key, message, follows: close });
    before = message;
  }
  return items;
}

/** `names` makes a name of a user's id, `isGroup`: authors are shown; `act` is {retry, menu, react, changeText}. */
export function showMessages(conversation, { names, isGroup, act }) {
  const scroll = $("scroll");
  const atEnd = isAtEnd();
  const fromEnd = scroll.scrollHeight - scroll.scrollTop;
  const messages = conversation.messages;
  const oldest = $("messages").querySelector(".message")?.dataset.key;
  const create = (line) => (isNote(line) ? element("li", "day") : createMessage(act));
  reconcile($("messages"), lines(messages), create, (item, line) => {
    if (line.day !== undefined) setText(item, line.day);
    else if (isNote(line)) setText(item, act.changeText(line.message.content));
    else updateMessage(item, line, { names, isGroup, act });
  });
  $("older").hidden = conversation.next === null;
  $("history-empty").hidden = messages.length > 0 || !conversation.loaded;
  if (atEnd) scrollToEnd();
  else if (messages.length > 0 && oldest !== messages[0].key) scroll.scrollTop = scroll.scrollHeight - fromEnd;
}

function isNote({ day, message }) {
  return day !== undefined || message.system;
}

function button(className, text, label, run) {
  const made = element("button", className, text);
  made.type = "button";
  if (label) made.setAttribute("aria-label", label);
  made.addEventListener("click", run);
  return made;
}

function createMessage(act) {
  const item = element("li", "message");
  const note = element("p", "note");
  const row = element("div", "row-of-bubble");
  const again = button("again", "Try again", "", () => act.retry(item.dataset.key));
  const more = button("more", "⋯", "React, edit or delete", () => act.menu(item.line, more));
  row.append(element("div", "bubble"), more);
  note.append(element("span", "words"), element("span", "edited", "edited"), element("time"));
  note.append(element("span", "tick"), again);
  item.append(element("p", "author"), row, element("p", "reactions"), note);
  return item;
}

function updateMessage(item, { message, follows, quiet = false }, { names, isGroup, act }) {
  const part = (name) => item.querySelector(name);
  item.line = message;
  item.classList.toggle("mine", message.mine);
  item.classList.toggle("follows", follows);
  item.classList.toggle("quiet-time", quiet && message.state === "sent");
  item.dataset.state = message.state;
  item.dataset.mark = message.mine ? (message.mark ?? "") : "";
  showAuthor(part(".author"), names(message.from), isGroup && !message.mine && !follows);
  showBubble(item, part(".bubble"), message);
  part(".more").hidden = message.state !== "sent" || Boolean(message.deleted);
  showReactions(part(".reactions"), message, act, names);
  showNote(part, message);
}

function showAuthor(node, name, visible) {
  node.classList.toggle("hidden", !visible); // it is read out all the same
  setText(node, visible ? name : `${name} wrote:`);
}

function showBubble(item, bubble, message) {
  bubble.classList.toggle("code", message.formatted);
  item.classList.toggle("deleted", Boolean(message.deleted));
  bubble.dir = "auto";
  setText(bubble, message.text);
}

function showReactions(node, message, act, names) {
  const items = message.reactions.map((reaction) => ({ key: reaction.emoji, reaction }));
  const lineOf = (chip) => chip.closest(".message").line;
  const create = ({ key }) => button("reaction", "", "", ({ currentTarget }) => act.react(lineOf(currentTarget), key));
  reconcile(node, items, create, (chip, { reaction: { emoji, users, mine } }) => {
    setText(chip, `${emoji} ${users.length}`);
    chip.setAttribute("aria-pressed", String(mine));
    chip.title = users.map(names).join(", ");
  });
  node.hidden = items.length === 0;
}

function showNote(part, message) {
  const words = { pending: "Sending…", failed: `Not sent: ${message.error?.message}.`, sent: "" };
  const marks = { sent: "Sent", delivered: "Delivered", read: "Read" };
  setText(part(".words"), words[message.state]);
  part(".edited").hidden = !message.edited || Boolean(message.deleted);
  setText(part("time"), message.state === "sent" ? clock.format(message.sentAt) : "");
  part("time").dateTime = new Date(message.sentAt).toISOString();
  part(".tick").hidden = !(message.mine && message.state === "sent") || Boolean(message.deleted);
  setText(part(".tick"), TICKS[message.mark] ?? "✓");
  part(".tick").title = marks[message.mark] ?? "";
  part(".tick").setAttribute("role", "img");
  part(".tick").setAttribute("aria-label", marks[message.mark] ?? "");
  part(".again").hidden = message.state !== "failed";
}
