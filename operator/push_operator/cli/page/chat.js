/** One logged-in user: connection, memory and screen, and how news passes between them. */

import { PushClient, isChannel, randomId } from "./client.js";
import { Conversation, People, idFrom, invited, readJson, textOf, writeJson } from "./conversations.js";
import { GroupPanel, changeText } from "./groups.js";
import { History } from "./history.js";
import { showMessages } from "./lines.js";
import { MessageMenu } from "./menu.js";
import * as view from "./view.js";

const { $ } = view;
const DEVICE_KEY = "push.device";

/** This window's, made when it is first asked for. */
export function deviceId() {
  const id = sessionStorage.getItem(DEVICE_KEY) ?? randomId();
  sessionStorage.setItem(DEVICE_KEY, id);
  return id;
}

/** Makes the window another device: it gets a new id with the next connection. */
export function forgetDevice() {
  sessionStorage.removeItem(DEVICE_KEY);
}

export class Chat {
  #api;
  #end;
  #live = true; // answers that come after the end change nothing
  #me;
  #token;
  #people;
  #conversations = new Map();
  #presence = new Map();
  #history;
  #openId = null;
  #client;
  #menu;
  #editing = null; // the line that is being edited
  #outboxKey;
  #lost = false; // told once, not at every attempt
  group;

  /** `end(problem)` is called when the session is over; `problem` is what to tell the user. */
  constructor(api, { user, token }, end) {
    this.#api = api;
    this.#end = end;
    this.#me = user;
    this.#token = token;
    this.#people = new People(localStorage, user.id);
    this.#outboxKey = `push.outbox.${user.id}`;
    this.#client = this.#newClient();
    this.#history = this.#newHistory();
    this.#menu = new MessageMenu(this.#acts());
    this.group = new GroupPanel(api, token, user.id, (id) => this.#nameOf(id));
  }

  /** What it needs to know and to tell, and no more. */
  #newHistory() {
    return new History(this.#api, this.#token, this.#me.id, {
      people: this.#people,
      conversation: (id) => this.#conversation(id),
      openId: () => this.#openId,
      isLive: () => this.#live,
      changed: (id) => this.#draw(id),
      groupGone: (id) => this.#groupGone(id),
      end: (problem) => this.#end(problem),
    });
  }

  start() {
    this.#showMe();
    this.#client.restore(readJson(sessionStorage, this.#outboxKey, []));
    this.#client.start();
    const { id, name } = invited(location.search);
    if (id !== "") {
      const stranger = id !== this.#me.id;
      if (stranger) this.#people.add(id, name);
      history.replaceState(null, "", `${location.pathname}${stranger ? `#${encodeURIComponent(id)}` : ""}`);
    }
    this.followAddress();
    this.poll();
  }

  stop() {
    this.#live = false;
    this.#client.stop();
  }

  #newClient() {
    const checkToken = () => this.#api.checkToken(this.#token);
    const client = new PushClient({ gateway: this.#api.gateway, token: this.#token, deviceId: deviceId(), checkToken });
    client.on("state", (state) => this.#connectionChanged(state));
    client.on("welcome", (_, again) => (again ? this.#history.loadList() : this.#history.reload(false)));
    client.on("gap", () => this.#history.missed());
    client.on("message", (frame) => this.#received(frame));
    client.on("membership", (frame) => this.#groupChanged(frame));
    client.on("receipt", (frame) => this.#receipt(frame));
    client.on("typing", (typing) => this.#othersType(typing));
    client.on("presence", (presence) => this.#othersAre(presence));
    client.on("send", (entry) => this.#tracked(entry));
    client.on("error", ({ message }) => view.showBanner(`The platform refused something: ${message}.`));
    return client;
  }

  #connectionChanged({ name, reason }) {
    this.tick();
    if (name === "connected") this.#lost = false;
    if (name === "waiting" && !this.#lost) view.announce("The connection is lost. Trying to get it back.");
    this.#lost ||= name === "waiting";
    if (name !== "stopped") return;
    if (reason === "expired" && this.#live) this.#end("Your session has ended. Log in again to go on.");
    if (reason === "ended" && this.#live) this.#end("This session was ended from another device. Log in to go on.");
    if (reason === "elsewhere") {
      const text = "This window was duplicated, and the copy took over the connection.";
      view.showBanner(text, { label: "Connect this one too", run: () => this.#becomeOwnDevice() });
    }
  }

  #becomeOwnDevice() {
    forgetDevice();
    view.showBanner("");
    const unsettled = this.#client.unsettled;
    this.#client = this.#newClient();
    this.#client.restore(unsettled);
    this.#client.start();
  }

  #nameOf(id) {
    return id === this.#me.id ? "You" : view.nameOf(this.#people.get(id) ?? { id });
  }

  // Coming and going of messages

  #conversation(id) {
    if (!this.#conversations.has(id)) this.#conversations.set(id, new Conversation(this.#me.id));
    return this.#conversations.get(id);
  }

  #received(frame) {
    const id = frame.conversation;
    if (id === undefined || id === null || id.startsWith("topic:")) return; // topics are for richer clients
    const isNew = this.#conversation(id).add(frame);
    this.#conversation(id).typists.delete(frame.from);
    if (isNew && (frame.kind ?? "text") === "text") this.#receivedText(id, frame);
    else this.#history.previewNewest(id);
    this.#draw(id);
  }

  #receivedText(id, frame) {
    const text = textOf(frame.content);
    const mine = frame.from === this.#me.id; // written on another device of mine
    // A replay may repeat what was shown, or counted, before the page was loaded again.
    const person = this.#people.get(id);
    const repeated = frame.replayed === true && Boolean(person?.last) && frame.sent_at <= person.at;
    this.#people.preview(id, { text, mine, sentAt: frame.sent_at });
    if (!mine && !repeated) this.#notify(id, frame.from, text);
  }

  #notify(id, from, text) {
    view.announce(`${this.#nameOf(from)}: ${text}`);
    const seen = id === this.#openId && document.visibilityState === "visible" && view.isAtEnd();
    if (!seen) this.#people.setUnread(id, this.#people.get(id).unread + 1);
  }

  #tracked(entry) {
    const { conversation: id, content, more = {}, sentAt = entry.createdAt } = entry;
    this.#conversation(id).track(entry);
    const isText = more.kind === undefined;
    if (isText) this.#people.preview(id, { text: textOf(content), mine: true, sentAt });
    else if (entry.state === "failed") this.#changeFailed(entry);
    else this.#history.previewNewest(id);
    writeJson(sessionStorage, this.#outboxKey, this.#client.unsettled.map(({ timer: _, ...rest }) => rest));
    this.#draw(id);
  }

  #changeFailed({ dedupId, error }) {
    view.showBanner(`That could not be changed: ${error.message}.`);
    queueMicrotask(() => this.#client.forget(dedupId)); // what was there before is shown again
  }

  /** What was written goes out, or takes the place of the message that is being edited. */
  send(text) {
    this.#client.typing(this.#openId, "stop");
    if (this.#editing !== null) {
      const { message } = this.#editing;
      this.edit(null);
      if (text !== message.content) this.#client.edit({ ...message, conversation: this.#openId }, text);
      return;
    }
    this.#client.send(this.#openId, text);
    view.scrollToEnd();
  }

  typing() {
    if (this.#openId !== null) this.#client.typing(this.#openId, $("draft").value.trim() === "" ? "stop" : "start");
  }

  // What is done with messages

  #acts() {
    const about = ({ message }) => ({ ...message, conversation: this.#openId });
    return {
      retry: (dedupId) => this.#client.retry(dedupId),
      menu: (line, button) => this.#menu.open(line, button),
      react: (line, emoji) => this.#client.react(about(line), emoji, hasReacted(line, emoji)),
      edit: (line) => this.edit(line),
      delete: (line) => this.#client.delete(about(line)),
      changeText: (change) => changeText(change, (id) => this.#nameOf(id)),
    };
  }

  /** Begins to edit a line; null ends it without a change. */
  edit(line) {
    const was = this.#editing;
    this.#editing = line;
    $("editing").hidden = line === null;
    if (line === null && was === null) return;
    $("draft").value = line === null ? "" : line.text;
    view.fitDraft();
    $("draft").focus();
  }

  get isEditing() {
    return this.#editing !== null;
  }

  // Groups

  #groupChanged(frame) {
    const { channel, change, group_id: groupId, name } = frame;
    const id = `group:${groupId}`;
    const isMine = !channel.startsWith("group:");
    const gone = change === "deleted" || (change === "removed" && frame.user_ids?.includes(this.#me.id));
    if (gone) return this.#groupGone(id);
    if (isMine || change === "renamed") this.#people.rename(id, name ?? this.#people.get(id)?.name ?? "");
    if (!isMine) {
      this.#conversation(id).add({ ...frame, from: frame.by, kind: "system", content: frame });
      if (id === this.#openId) this.group.refresh();
    }
    return this.#draw(id);
  }

  #groupGone(id) {
    const person = this.#people.get(id);
    if (person === undefined) return;
    this.#people.remove(id);
    this.#conversations.delete(id);
    if (id === this.#openId) {
      view.showBanner(`You are not in “${view.nameOf(person)}” any more.`);
      location.hash = "";
    }
    this.#draw(null);
  }

  /** In words why it could not be made, empty when it is. */
  async createGroup(name) {
    try {
      const { group_id: groupId } = await this.#api.createGroup(this.#token, name);
      this.#people.rename(`group:${groupId}`, name);
      this.open(`group:${groupId}`);
      return "";
    } catch (error) {
      return error.message;
    }
  }

  toggleGroup() {
    return this.group.toggle(this.#openId, this.openName);
  }

  // Receipts, typing, blocks

  #receipt(frame) {
    const id = frame.channel ?? frame.conversation;
    if (frame.by !== this.#me.id) this.#conversation(id).mark(frame.kind, frame.by, frame);
    else if (frame.kind === "read" && this.#people.get(id)) this.#people.setUnread(id, 0); // on another device
    this.#draw(id);
  }

  #othersType({ from, conversation: id, state }) {
    const { typists } = this.#conversation(id);
    if (state === "start") typists.add(from);
    else typists.delete(from);
    this.tick();
  }

  async toggleBlock() {
    const id = this.#openId;
    const blocked = !this.#history.blocked.has(id);
    try {
      await this.#api.block(this.#token, id, blocked);
      if (blocked) this.#history.blocked.add(id);
      else this.#history.blocked.delete(id);
    } catch (error) {
      view.showBanner(error.message);
    }
    this.tick();
  }

  loadOlder() {
    return this.#history.loadOlder(this.#openId);
  }

  // What is open

  /** The address says which conversation is open (`#ID`), so the browser's back button works as expected. */
  followAddress() {
    const id = this.#idInAddress();
    this.#openId = id === "" ? null : id;
    $("chat").dataset.pane = id === "" ? "people" : "conversation";
    $("open").hidden = id === "";
    $("nothing").hidden = id !== "";
    $("rename-form").hidden = true;
    this.group.close();
    this.edit(null);
    if (id === "") return this.#draw(null);
    this.#people.add(id);
    const conversation = this.#conversation(id);
    $("messages").replaceChildren();
    view.showProblem("history-problem", "");
    this.#draw(id);
    view.scrollToEnd();
    if (conversation.stale) this.#history.catchUp(id);
    this.#watchPeople();
    $("draft").value = "";
    view.fitDraft();
    return $("draft").focus({ preventScroll: true });
  }

  #idInAddress() {
    const { id } = invited(`?to=${location.hash.slice(1)}`);
    return id === this.#me.id ? "" : id;
  }

  open(id) {
    location.hash = encodeURIComponent(id);
  }

  openPasted(pasted) {
    const id = idFrom(pasted);
    if (id === "") return "This is neither an id nor an invitation link.";
    if (id === this.#me.id) return "This is your own id. Paste somebody else's.";
    this.#people.add(id);
    this.open(id);
    return "";
  }

  rename(name) {
    this.#people.rename(this.#openId, name);
    this.#draw(this.#openId);
  }

  get openName() {
    return this.#people.get(this.#openId).name;
  }

  // Drawing

  #draw(changedId) {
    if (!this.#live) return;
    this.#markRead();
    const options = { openId: this.#openId, presence: this.#presence, choose: (id) => this.open(id) };
    view.showPeople(this.#people.list, options);
    if (this.#openId !== null && changedId === this.#openId) this.#drawConversation();
    this.tick();
    const { unread } = this.#people;
    document.title = `${unread > 0 ? `(${unread}) ` : ""}${view.nameOf(this.#me)} · PushCluster chat`;
  }

  #drawConversation() {
    const names = (id) => this.#nameOf(id);
    showMessages(this.#conversation(this.#openId), { names, isGroup: isChannel(this.#openId), act: this.#acts() });
    this.showNewer();
  }

  /** What is in sight is read: here, on this user's other devices, and for whoever wrote it. */
  #markRead() {
    if (this.#openId === null || document.visibilityState !== "visible" || !view.isAtEnd()) return;
    if (this.#people.get(this.#openId)?.unread) this.#people.setUnread(this.#openId, 0);
    const conversation = this.#conversation(this.#openId);
    const newest = conversation.newestOfOthers;
    if (newest === null || newest === conversation.told) return;
    if (this.#client.readAll(this.#openId)) conversation.told = newest;
  }

  showNewer() {
    $("newer").hidden = view.isAtEnd() || !this.#people.get(this.#openId)?.unread;
  }

  /** Someone scrolled, or came back to the window. */
  looked() {
    if (this.#openId !== null && this.#people.get(this.#openId)?.unread) this.#draw(this.#openId);
  }

  /** Once a second, and at every change of the connection: the countdown. */
  tick() {
    if (!this.#live) return;
    view.showConnection(this.#client.state);
    const id = this.#openId;
    const person = id === null ? undefined : this.#people.get(id);
    if (!person) return;
    const typing = [...this.#conversation(id).typists].map((one) => this.#nameOf(one));
    view.showPeer(person, this.#presence.get(id), this.#client.state, typing);
    $("members").hidden = !isChannel(id);
    $("rename").hidden = isChannel(id);
    $("block").hidden = isChannel(id) || this.#history.blocked === null;
    view.setText($("block"), this.#history.blocked?.has(id) ? "Unblock" : "Block");
  }

  #showMe() {
    $("my-name").textContent = view.nameOf(this.#me);
    $("my-id").value = this.#me.id;
    const query = new URLSearchParams({ to: this.#me.id, ...(this.#me.name ? { name: this.#me.name } : {}) });
    $("my-link").value = `${location.origin}${location.pathname}?${query}`;
  }

  // Presence and health

  poll() {
    this.#api.components().then(view.showHealth, () => view.showHealth(null));
    this.#watchPeople();
  }

  /** Those who are listed, the first hundred; again who is not there: one who has become a contact can be seen. */
  #watchPeople() {
    const ids = this.#people.list.map(({ id }) => id).filter((id) => !isChannel(id)).slice(0, 100);
    const gone = [...this.#presence.keys()].filter((id) => !ids.includes(id));
    for (const id of gone) this.#presence.delete(id);
    this.#client.unwatch(gone);
    this.#client.watch(ids.filter((id) => (this.#presence.get(id) ?? "offline") === "offline"));
  }

  #othersAre({ userId, status }) {
    this.#presence.set(userId, status);
    this.#draw(null);
  }

  wake() {
    this.#client.wake();
    this.looked();
    this.poll();
  }
}

function hasReacted({ reactions }, emoji) {
  return reactions.some((reaction) => reaction.emoji === emoji && reaction.mine);
}
