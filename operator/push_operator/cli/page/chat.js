/** One logged-in user: connection, memory and screen, and how news passes between them. */

import { PushClient, randomId } from "./client.js";
import { Conversation, People, idFrom, invited, readJson, textOf, writeJson } from "./conversations.js";
import * as view from "./view.js";

const { $ } = view;
const DEVICE_KEY = "push.device";
const MAX_CATCH_UP_PAGES = 10;
const SECOND_LOOK_MS = 2_000;
const MAX_PEOPLE_TO_CHECK = 20;

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
  #openId = null;
  #client;
  #outboxKey;
  #catchingUp = new Set();
  #lost = false; // told once, not at every attempt

  /** `end(problem)` is called when the session is over; `problem` is what to tell the user. */
  constructor(api, { user, token }, end) {
    this.#api = api;
    this.#end = end;
    this.#me = user;
    this.#token = token;
    this.#people = new People(localStorage, user.id);
    this.#outboxKey = `push.outbox.${user.id}`;
    this.#client = this.#newClient();
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
    const deviceId = sessionStorage.getItem(DEVICE_KEY) ?? randomId();
    sessionStorage.setItem(DEVICE_KEY, deviceId);
    const checkToken = () => this.#api.checkToken(this.#token);
    const client = new PushClient({ gateway: this.#api.gateway, token: this.#token, deviceId, checkToken });
    client.on("state", (state) => this.#connectionChanged(state));
    client.on("welcome", (_, again) => again || this.#reload(false));
    client.on("gap", () => this.#missed());
    client.on("message", (frame) => this.#received(frame));
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

  // Coming and going of messages

  #conversation(id) {
    if (!this.#conversations.has(id)) this.#conversations.set(id, new Conversation(this.#me.id));
    return this.#conversations.get(id);
  }

  #received(frame) {
    const id = frame.conversation;
    if (id === undefined || id === null) return; // groups and topics are for richer clients
    if (!this.#conversation(id).add(frame)) return;
    const text = textOf(frame.content);
    const mine = frame.from === this.#me.id; // written on another device of mine
    // A replay may repeat what was shown, or counted, before the page was loaded again.
    const person = this.#people.get(id);
    const repeated = frame.replayed === true && Boolean(person?.last) && frame.sent_at <= person.at;
    this.#people.preview(id, { text, mine, sentAt: frame.sent_at });
    if (!mine && !repeated) this.#notify(id, text);
    this.#draw(id);
  }

  #notify(id, text) {
    view.announce(`${view.nameOf(this.#people.get(id))}: ${text}`);
    const seen = id === this.#openId && document.visibilityState === "visible" && view.isAtEnd();
    if (!seen) this.#people.countUnread(id);
  }

  #tracked(entry) {
    const { recipientId, content, sentAt = entry.createdAt } = entry;
    this.#conversation(recipientId).track(entry);
    this.#people.preview(recipientId, { text: textOf(content), mine: true, sentAt });
    writeJson(sessionStorage, this.#outboxKey, this.#client.unsettled.map(({ timer: _, ...rest }) => rest));
    this.#draw(recipientId);
  }

  send(text) {
    this.#client.send(this.#openId, text);
    view.scrollToEnd();
  }

  // History

  /** What the server could not send again is in the history. */
  #missed() {
    this.#reload(true);
    // It is written a moment after the log: what came last may not be in it yet.
    setTimeout(() => this.#live && this.#reload(true), SECOND_LOOK_MS);
  }

  /** At the start and after a gap: first what is on the screen, then what the others wrote in the meantime. */
  async #reload(again) {
    for (const conversation of this.#conversations.values()) conversation.stale ||= again;
    if (this.#openId !== null && this.#conversation(this.#openId).stale) await this.#catchUp(this.#openId);
    for (const { id } of this.#people.list.slice(0, MAX_PEOPLE_TO_CHECK)) {
      if (this.#live && id !== this.#openId) await this.#countMissed(id);
    }
  }

  async #countMissed(id) {
    const { at, last } = this.#people.get(id);
    const page = await this.#api.history(this.#token, id).catch(() => null);
    if (page === null || id === this.#openId) return;
    const conversation = this.#conversation(id);
    const isNew = (message) => !conversation.has(message.message_id) && (!last || message.sent_at > at);
    const missed = page.messages.filter(isNew);
    const [newest] = page.messages;
    if (missed.length === 0) return;
    const mine = newest.from === this.#me.id;
    this.#people.preview(id, { text: textOf(newest.content), mine, sentAt: newest.sent_at });
    missed.filter(({ from }) => from !== this.#me.id).forEach(() => this.#people.countUnread(id));
    conversation.stale = true;
    this.#draw(null);
  }

  /** Loads pages from the newest on until they meet what is known, so that no gap stays in between. */
  async #catchUp(id) {
    if (this.#catchingUp.has(id)) return;
    this.#catchingUp.add(id);
    const conversation = this.#conversation(id);
    view.showProblem("history-problem", "");
    try {
      conversation.stale = false;
      await this.#loadUntilKnown(id, conversation);
      conversation.loaded = true;
      this.#previewNewest(id, conversation);
    } catch (error) {
      conversation.stale = true;
      if (error.status === 401) return void this.#end("Your session has ended. Log in again to go on.");
      if (id === this.#openId) view.showProblem("history-problem", `${error.message} The history is not complete.`);
    } finally {
      this.#catchingUp.delete(id);
    }
    this.#draw(id);
  }

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
  }

  #previewNewest(id, conversation) {
    const newest = conversation.messages.at(-1);
    if (newest) this.#people.preview(id, newest);
  }

  async loadOlder() {
    const id = this.#openId;
    const conversation = this.#conversation(id);
    $("older").disabled = true;
    view.showProblem("history-problem", "");
    try {
      const page = await this.#api.history(this.#token, id, conversation.next);
      page.messages.forEach((message) => conversation.add(message));
      conversation.next = page.next;
      this.#draw(id);
    } catch (error) {
      view.showProblem("history-problem", error.message);
    } finally {
      $("older").disabled = false;
    }
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
    if (id === "") return this.#draw(null);
    this.#people.add(id);
    const conversation = this.#conversation(id);
    $("messages").replaceChildren();
    view.showProblem("history-problem", "");
    this.#draw(id);
    view.scrollToEnd();
    if (conversation.stale) this.#catchUp(id);
    this.#pollPresence();
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

  retry(dedupId) {
    this.#client.retry(dedupId);
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
    const peerName = view.nameOf(this.#people.get(this.#openId));
    view.showMessages(this.#conversation(this.#openId), peerName, (dedupId) => this.retry(dedupId));
    this.showNewer();
  }

  #markRead() {
    const person = this.#openId === null ? null : this.#people.get(this.#openId);
    if (person?.unread && document.visibilityState === "visible" && view.isAtEnd()) this.#people.read(person.id);
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
    const person = this.#openId === null ? undefined : this.#people.get(this.#openId);
    if (person) view.showPeer(person, this.#presence.get(person.id), this.#client.state);
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
    this.#pollPresence();
  }

  async #pollPresence() {
    const ids = this.#people.list.map(({ id }) => id).slice(0, 100);
    if (ids.length === 0) return;
    this.#presence = await this.#api.presence(this.#token, ids).catch(() => new Map()); // unknown is not offline
    this.#draw(null);
  }

  wake() {
    this.#client.wake();
    this.looked();
    this.poll();
  }
}
