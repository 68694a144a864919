/** What was said while nobody listened: the list of conversations, and pages of their messages. */

import { isChannel } from "./client.js";
import { textOf } from "./conversations.js";
import * as view from "./view.js";

const { $ } = view;
const MAX_CATCH_UP_PAGES = 10;
const SECOND_LOOK_MS = 2_000;
const MAX_PEOPLE_TO_CHECK = 20;
const ENDED = "Your session has ended. Log in again to go on.";

export class History {
  #api;
  #token;
  #me;
  #chat;
  #catchingUp = new Set();
  blocked = null; // a Set once it is known

  /** `chat` is {people, conversation(id), openId(), isLive(), changed(id), groupGone(id), end(problem)}. */
  constructor(api, token, me, chat) {
    this.#api = api;
    this.#token = token;
    this.#me = me;
    this.#chat = chat;
  }

  /** What the server could not send again is in the history. */
  missed() {
    this.reload(true);
    // It is written a moment after the log: what came last may not be in it yet.
    setTimeout(() => this.#chat.isLive() && this.reload(true), SECOND_LOOK_MS);
  }

  /** At the start and after a gap: first what is on the screen, then what the others wrote in the meantime. */
  async reload(again) {
    const { people, conversation, openId, isLive } = this.#chat;
    if (again) for (const { id } of people.list) conversation(id).stale = true;
    if (openId() !== null && conversation(openId()).stale) await this.catchUp(openId());
    if (await this.loadList()) return;
    for (const { id } of people.list.slice(0, MAX_PEOPLE_TO_CHECK)) {
      if (isLive() && id !== openId()) await this.#countMissed(id);
    }
  }

  // The list

  /** Conversations, groups and blocks as the platform knows them; false when it does not say what is unread. */
  async loadList() {
    const none = () => null;
    const [lines, groups, blocks] = await Promise.all([
      this.#api.conversations(this.#token).catch(none),
      this.#api.groups(this.#token).catch(none),
      this.#api.blocks(this.#token).catch(none),
    ]);
    if (!this.#chat.isLive()) return true;
    if (blocks !== null) this.blocked = new Set(blocks);
    if (groups !== null) this.#takeGroups(groups);
    for (const line of lines ?? []) this.#takeLine(line);
    this.#chat.changed(this.#chat.openId());
    return lines !== null && lines.every(({ unread }) => unread !== undefined);
  }

  #takeGroups(groups) {
    const { people, groupGone } = this.#chat;
    const known = new Set(groups.map(({ channel }) => channel));
    $("new-group").hidden = false;
    for (const { id } of people.list) if (isChannel(id) && !known.has(id)) groupGone(id);
    for (const { channel, name } of groups) people.rename(channel, name);
  }

  #takeLine(line) {
    const { people, openId } = this.#chat;
    const id = line.channel ?? line.user_id;
    const last = line.last_message;
    const conversation = this.#chat.conversation(id);
    people.add(id, line.name ?? "");
    if (last && (last.kind ?? "text") === "text") this.#preview(id, last);
    if (last && !conversation.has(last.message_id)) conversation.stale = true;
    if (line.unread !== undefined && id !== openId()) people.setUnread(id, line.unread);
    for (const kind of ["read", "delivered"]) {
      if (line[`their_${kind}`]) conversation.mark(kind, id, line[`their_${kind}`]);
    }
  }

  #preview(id, message) {
    const mine = message.from === this.#me;
    this.#chat.people.preview(id, { text: textOf(message.content), mine, sentAt: message.sent_at });
  }

  async #countMissed(id) {
    const { people, openId } = this.#chat;
    const { at, last } = people.get(id);
    const page = await this.#api.history(this.#token, id).catch(() => null);
    if (page === null || id === openId()) return;
    const conversation = this.#chat.conversation(id);
    const isNew = (message) => !conversation.has(message.message_id) && (!last || message.sent_at > at);
    const missed = page.messages.filter(isNew);
    if (missed.length === 0) return;
    this.#preview(id, page.messages[0]);
    const theirs = missed.filter(({ from }) => from !== this.#me).length;
    people.setUnread(id, people.get(id).unread + theirs);
    conversation.stale = true;
    this.#chat.changed(null);
  }

  // Pages

  async catchUp(id) {
    if (this.#catchingUp.has(id)) return;
    this.#catchingUp.add(id);
    const conversation = this.#chat.conversation(id);
    view.showProblem("history-problem", "");
    try {
      conversation.stale = false;
      await this.#loadUntilKnown(id, conversation);
      this.previewNewest(id);
    } catch (error) {
      conversation.stale = true;
      if (error.status === 401) return void this.#chat.end(ENDED);
      const text = `${error.message} The history is not complete.`;
      if (id === this.#chat.openId()) view.showProblem("history-problem", text);
    } finally {
      this.#catchingUp.delete(id);
    }
    this.#chat.changed(id);
  }

  /** Loads pages from the newest on until they meet what is known, so that no gap stays in between. */
  async #loadUntilKnown(id, conversation) {
    const pages = [];
    let before = null;
    do {
      const page = await this.#api.history(this.#token, id, before);
      pages.push(page);
      before = page.next;
      if (!conversation.loaded) break; // nothing to join with: one page, older ones on request
      if (page.messages.some(({ message_id: messageId }) => conversation.has(messageId))) break;
    } while (before !== null && pages.length < MAX_CATCH_UP_PAGES);
    const joined = conversation.loaded && pages.at(-1).messages.some((one) => conversation.has(one.message_id));
    if (conversation.loaded && !joined) conversation.reset();
    for (const page of pages) page.messages.forEach((message) => conversation.add(message));
    if (!joined) conversation.next = before;
    conversation.loaded = true;
  }

  async loadOlder(id) {
    const conversation = this.#chat.conversation(id);
    $("older").disabled = true;
    view.showProblem("history-problem", "");
    try {
      const page = await this.#api.history(this.#token, id, conversation.next);
      page.messages.forEach((message) => conversation.add(message));
      conversation.next = page.next;
      this.#chat.changed(id);
    } catch (error) {
      view.showProblem("history-problem", error.message);
    } finally {
      $("older").disabled = false;
    }
  }

  previewNewest(id) {
    const newest = this.#chat.conversation(id).messages.findLast(({ system }) => !system);
    if (newest) this.#chat.people.preview(id, newest);
  }
}
