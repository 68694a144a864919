/**
 * A PushCluster client: one WebSocket kept alive, every send delivered once, every message handed over once.
 *
 *   const client = new PushClient({ gateway: "ws://localhost:8080/ws", token, deviceId: randomId() });
 *   client.on("message", (frame) => console.log(`${frame.from}: ${frame.content}`));
 *   client.start();
 *   client.send("THEIR-ID", "Hello!"); // a user; or "group:ID", "topic:NAME"
 *
 * One module without dependencies, for browsers and for Node from 20 on: it knows the protocol and nothing of a page,
 * and takes its WebSocket class as an argument. A conversation is named by the other user's id, or by the channel of a
 * group or topic. What happens is told through `on(name, listener)`, which gives back a function that ends it:
 *
 *   state       {name, reason, retryAt}      "connecting" | "connected" | "waiting" | "stopped"
 *   welcome     (frame, again)               `again`: after a reconnect
 *   subscribed  (frame)                      a channel is read from here on: the inbox and groups by themselves
 *   gap         (reason, channel)            what was missed cannot all be sent again: read the history
 *   message     (frame)                      each message once, also when the server had to repeat it
 *   membership  (frame)                      a group has changed
 *   receipt     (frame)                      `by` has received or read everything up to `message_id`
 *   typing      {from, conversation, state}  "start" | "stop"; stops by itself after 6 s
 *   presence    {userId, status, lastSeen}   of a user who is watched: "online" | "away" | "offline"
 *   send        (entry)                      a send changed: entry.state is "pending" | "sent" | "failed" | "withdrawn"
 *   error       (frame)                      an error that answers no send
 *
 * `fold` makes what is shown of a conversation's messages: with edits, without what was deleted, with reactions.
 */

/** Close codes after which connecting again would be wrong. All others mean: connect again, with backoff. */
export const CLOSE_MISUSED = 4400; // too many bad frames: this client is at fault
export const CLOSE_EXPIRED = 4401; // get a new token first
export const CLOSE_ENDED = 4403; // by the user, from another device: whoever is here has to sign in
export const CLOSE_ELSEWHERE = 4409; // the same device is connected elsewhere; reconnecting would only take turns

const BACKOFF_MIN_MS = 500;
const BACKOFF_MAX_MS = 30_000;
const STABLE_AFTER_MS = 5_000; // a connection that lived this long starts the backoff anew
const RECEIVED_EVERY_MS = 500;
const SURE_AFTER_MS = 12_000; // a server that knows this device has said where it goes on by then, or closed
const ANSWER_WITHIN_MS = 15_000; // no welcome, pong or ack in this time: the connection is taken for dead
const MAX_TRIES = 5;
const DEDUP_WINDOW_MS = 110_000; // the log knows a dedup_id for 2 minutes; later the server has to ask the history
const MAX_ON_WIRE = 64; // sends that wait for their ack
const MAX_UNSETTLED = 1_000;
const REMEMBERED_IDS = 5_000;
const MAX_EARLY = 1_000;
const MAX_READS = 32; // conversations; told again after a cut, as nobody answers them
const RESUMED_AT_ONCE = 100;
const TYPING_ENDS_MS = 6_000;
const TYPING_AGAIN_MS = 3_000;
const MAX_NEW_TOKENS = 3;
const MAX_EMOJI = 32;
const MAX_WATCHED = 500;
const WATCHED_AT_ONCE = 250; // of one frame, whatever the ids are
const WATCH_AGAIN_MS = 5_000;
const TRY_AGAIN = new Set(["rate_limited", "unavailable"]);
const SHOWN_KINDS = new Set(["text", "system"]);

/** Full jitter between 0.5 s and a ceiling that doubles with every attempt, up to 30 s. */
export function backoffMs(attempt, random = Math.random) {
  const ceiling = Math.min(BACKOFF_MAX_MS, 2 * BACKOFF_MIN_MS * 2 ** Math.min(attempt, 10));
  return Math.round(BACKOFF_MIN_MS + random() * (ceiling - BACKOFF_MIN_MS));
}

/** 32 random characters: the idempotency key of a send, and just as good as a device id. */
export function randomId() {
  const bytes = globalThis.crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Is this conversation a group or a topic? Else it is a user's id. */
export function isChannel(conversation) {
  return /^(group|topic):/.test(conversation);
}

function sendFrame({ dedupId, conversation, content, more = {}, firstSentAt }) {
  const late = firstSentAt !== null && Date.now() - firstSentAt > DEDUP_WINDOW_MS;
  const key = { id: dedupId, dedup_id: dedupId, ...(late ? { retry: true } : {}) };
  return { type: "send_message", ...key, ...targetOf(conversation), content, ...more };
}

function targetOf(conversation) {
  return isChannel(conversation) ? { channel: conversation } : { recipient_id: conversation };
}

// What a conversation shows ------------------------------------------------------------------------------------------

/**
 * All that is to be shown, by (sent_at, message_id): [{message, content, edited, deleted, reactions}], `reactions` a
 * Map of emoji to the users who reacted with it. The messages of a conversation, from the socket or the history, may
 * come in any order, and more than once. Clients judge edits, deletions and reactions, as no server reads them:
 *
 * - an edit or a deletion counts only when it is `from` the author of its `ref`; the newest edit wins, and a deletion
 *   ends it;
 * - a reaction is anyone's, one of each emoji per user; `"remove": true` takes it back, the newest word counts;
 * - what names an unknown message waits for it; what is not well-formed, or of an unknown kind, is not shown.
 */
export function fold(messages) {
  const known = new Map([...messages].map((message) => [message.message_id, message]));
  const ordered = [...known.values()].sort(byPlace);
  const lines = ordered.filter(({ kind }) => SHOWN_KINDS.has(kind ?? "text"));
  const shown = new Map(lines.map((message) => [message.message_id, unfolded(message)]));
  for (const message of ordered) {
    const about = shown.get(message.ref);
    if (about !== undefined && !about.deleted) applyTo(about, message);
  }
  return [...shown.values()];
}

function byPlace(a, b) {
  return a.sent_at - b.sent_at || (a.message_id < b.message_id ? -1 : 1);
}

function unfolded(message) {
  return { message, content: message.content, edited: false, deleted: false, reactions: new Map() };
}

function applyTo(about, message) {
  const own = message.from === about.message.from;
  if (message.kind === "reaction") react(about.reactions, message);
  else if (message.kind === "edit" && own) Object.assign(about, { content: message.content, edited: true });
  else if (message.kind === "delete" && own) {
    Object.assign(about, { content: null, deleted: true, reactions: new Map() });
  }
}

function react(reactions, { from, content }) {
  const emoji = content?.emoji;
  if (typeof emoji !== "string" || emoji === "" || [...emoji].length > MAX_EMOJI) return;
  const users = new Set(reactions.get(emoji));
  if (content.remove === true) users.delete(from);
  else users.add(from);
  if (users.size > 0) reactions.set(emoji, [...users]);
  else reactions.delete(emoji);
}

// One channel --------------------------------------------------------------------------------------------------------

/** One channel as this device reads it: what repeats, what is told as received, and what waits for a `subscribed`. */
class Channel {
  provisional = false; // only the welcome's word, before the server says where it goes on
  waiting = true; // for a `subscribed`
  asked = false; // on this connection
  question = null; // the id of the frame that asked
  told = false; // as received
  early = []; // messages before the answer: they come again in their place, unless it says that they cannot

  constructor(name, place = null) {
    this.name = name;
    this.place = place; // {epoch, seq}: up to here it was handed over
    this.begun = place; // the first of its places
  }

  get resumable() {
    return this.provisional ? null : this.place;
  }

  /**
   * Does a `subscribed` say where it goes on? While this device's own question is under way only the answer to that
   * does: a server that has not heard it yet may begin at the end, and that would pass over what was missed.
   */
  goesOnWith(answered) {
    return !this.waiting || this.resumable === null || answered === this.question;
  }

  start(place, provisional = false) {
    this.begun ??= place;
    Object.assign(this, { place, provisional, waiting: false, asked: true, told: false });
  }

  /** Moves the cursor; false for what was there before. */
  takes({ epoch, seq }) {
    if (this.place?.epoch === epoch && this.place.seq >= seq) return false;
    Object.assign(this, { place: { epoch, seq }, provisional: false, told: false });
    return true;
  }

  layAside(frame) {
    this.early.push(frame);
    if (this.early.length > MAX_EARLY) this.early.shift();
  }

  lost() {
    Object.assign(this, { waiting: true, asked: false, told: false, early: [] });
  }
}

// The client ---------------------------------------------------------------------------------------------------------

export class PushClient {
  #gateway;
  #token;
  #deviceId;
  #WebSocket;
  #checkToken;
  #random;
  #listeners = new Map();

  #socket = null;
  #state = { name: "stopped", reason: "not started", retryAt: null };
  #userId = "";
  #attempt = 0;
  #tokensRefused = 0;
  #connectedAt = 0;
  #drainUntil = null; // a `reconnect` frame said when to come back
  #retryTimer = null;
  #deadTimer = null;
  #pingTimer = null;
  #sureTimer = null;
  #heartbeatMs = 25_000;
  #maxFrameBytes = 65_536;

  #outbox = new Map(); // dedup_id -> entry, in the order of sending
  #onWire = new Set(); // the entries of it that wait for their ack
  #seen = new Set(); // "channel message_id" handed over already, oldest first
  #channels; // name -> Channel
  #asked = new Map(); // id of a frame that asked -> names of channels
  #subscribers = new Map(); // name -> [{resolve, reject}]
  #receivedTimer = null;
  #typists = new Map(); // "conversation from" -> timer
  #typed = new Map(); // conversation -> when it was told last that this user types
  #watched = new Map(); // user id -> what was told last, null for nothing yet
  #status = "online";
  #watchTimer = null;
  #reads = new Map(); // conversation -> {channel, epoch, seq, told}

  /**
   * @param {object} options
   * @param {string} options.gateway the address of the socket, ws:// or wss://
   * @param {string | (() => string | Promise<string>)} options.token the access token, or a function that gives one: it
   *   is called before each connection
   * @param {string} options.deviceId a stable id of this installation
   * @param {typeof WebSocket} [options.WebSocket] the class to connect with
   * @param {Record<string, {epoch: string, seq: number}>} [options.cursors] what `cursors` was when this device was
   *   here last; without them the server knows how far it came
   * @param {() => Promise<"valid" | "expired" | "unreachable">} [options.checkToken] asked when a handshake is
   *   refused, because a browser cannot see the reason
   * @param {() => number} [options.random] a number in [0, 1)
   */
  constructor({ gateway, token, deviceId, cursors, ...more }) {
    this.#gateway = gateway;
    this.#token = token;
    this.#deviceId = deviceId;
    this.#WebSocket = more.WebSocket ?? globalThis.WebSocket;
    this.#checkToken = more.checkToken ?? (async () => "valid");
    this.#random = more.random ?? Math.random;
    this.#channels = new Map(Object.entries(cursors ?? {}).map(([name, place]) => [name, new Channel(name, place)]));
  }

  get state() {
    return this.#state;
  }

  /** Empty before the first welcome. */
  get userId() {
    return this.#userId;
  }

  /** By channel: how far this device came. */
  get cursors() {
    const known = [...this.#channels.values()].filter(({ resumable }) => resumable !== null);
    return Object.fromEntries(known.map(({ name, place }) => [name, place]));
  }

  /** Sends that are not settled as "sent": what a page keeps over a reload, to `restore` it afterwards. */
  get unsettled() {
    return [...this.#outbox.values()];
  }

  on(name, listener) {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  #emit(name, ...values) {
    for (const listener of this.#listeners.get(name) ?? []) listener(...values);
  }

  // Connecting -------------------------------------------------------------------------------------------------------

  start() {
    if (this.#state.name === "stopped") this.#connect();
  }

  /** Ends the connection and stays away. Unsettled sends keep their state. */
  stop(reason = "stopped") {
    this.#tellReceived();
    const socket = this.#detach();
    this.#setState("stopped", reason);
    socket?.close(1000);
  }

  /** Connects now instead of at the end of the backoff: the network came back, or someone is looking again. */
  wake() {
    if (this.#state.name === "waiting" && this.#drainUntil === null) this.#connect();
  }

  #setState(name, reason = "", retryAt = null) {
    this.#state = { name, reason, retryAt };
    this.#emit("state", this.#state);
  }

  #connect() {
    clearTimeout(this.#retryTimer);
    this.#drainUntil = null;
    this.#setState("connecting");
    if (typeof this.#token !== "function") return this.#open(this.#token);
    return this.#openWithNewToken(this.#state);
  }

  async #openWithNewToken(attempt) {
    try {
      const token = await this.#token();
      if (this.#state === attempt) this.#open(token); // else it was stopped meanwhile
    } catch (error) {
      if (this.#state === attempt) this.#waitAndReconnect(`no token: ${error.message}`);
    }
  }

  #open(token) {
    const url = new URL(this.#gateway);
    url.searchParams.set("token", token);
    url.searchParams.set("device_id", this.#deviceId);
    if (this.#resumes) url.searchParams.set("resume", "client"); // it knows better than the server where it was
    if (this.#status !== "online") url.searchParams.set("status", this.#status); // else it were online at first
    const socket = new this.#WebSocket(url.href);
    let opened = false;
    this.#socket = socket;
    socket.onopen = () => (opened = true);
    socket.onerror = () => {}; // a close event always follows, and says more
    socket.onmessage = (event) => socket === this.#socket && this.#receive(event.data);
    socket.onclose = (event) => socket === this.#socket && this.#closed(event.code, event.reason, opened);
    this.#expectAnswer();
  }

  get #resumes() {
    return [...this.#channels.values()].some(({ name, resumable }) => name.startsWith("user:") && resumable !== null);
  }

  /** Lets go of the socket and of every timer that belongs to it. What it still says is not heard any more. */
  #detach() {
    const timers = [this.#retryTimer, this.#deadTimer, this.#pingTimer, this.#receivedTimer, this.#sureTimer];
    for (const timer of [...timers, this.#watchTimer]) clearTimeout(timer);
    this.#deadTimer = this.#receivedTimer = this.#watchTimer = null;
    for (const entry of this.#outbox.values()) clearTimeout(entry.timer);
    for (const channel of this.#channels.values()) channel.lost();
    for (const read of this.#reads.values()) read.told = false; // nobody answers one, so the last ones may be lost
    this.#onWire.clear();
    this.#asked.clear();
    this.#typed.clear();
    const socket = this.#socket;
    this.#socket = null;
    return socket;
  }

  #closed(code, reason, opened) {
    const lived = this.#state.name === "connected" ? Date.now() - this.#connectedAt : 0;
    if (lived >= STABLE_AFTER_MS) this.#attempt = 0;
    this.#detach();
    if (code === CLOSE_EXPIRED) return this.#expired();
    if (code === CLOSE_ENDED) return this.#setState("stopped", "ended");
    if (code === CLOSE_ELSEWHERE) return this.#setState("stopped", "elsewhere");
    if (code === CLOSE_MISUSED) return this.#setState("stopped", "misused");
    this.#waitAndReconnect(opened ? reason || `connection closed (${code})` : "the gateway cannot be reached");
    if (!opened) this.#askWhetherExpired();
    return undefined;
  }

  /** A function may have another token, a string is what it is. */
  #expired() {
    this.#tokensRefused += 1;
    const final = typeof this.#token !== "function" || this.#tokensRefused > MAX_NEW_TOKENS;
    if (final) this.#setState("stopped", "expired");
    else this.#waitAndReconnect("the token has expired");
  }

  #waitAndReconnect(reason) {
    const drain = this.#drainUntil === null ? null : Math.max(0, this.#drainUntil - Date.now());
    const delay = drain ?? backoffMs(this.#attempt, this.#random);
    if (drain === null) this.#attempt += 1;
    this.#retryTimer = setTimeout(() => this.#connect(), delay);
    this.#setState("waiting", reason, Date.now() + delay);
  }

  async #askWhetherExpired() {
    const answer = await this.#checkToken().catch(() => "unreachable");
    if (answer !== "expired" || this.#state.name !== "waiting") return;
    this.#detach();
    this.#expired();
  }

  /** The other side owes an answer: if it does not come, the connection is dead although nobody said so. */
  #expectAnswer() {
    this.#deadTimer ??= setTimeout(() => {
      const socket = this.#socket;
      this.#closed(1006, "no answer", true);
      socket?.close();
    }, ANSWER_WITHIN_MS);
  }

  #write(frame) {
    if (this.#state.name !== "connected") return;
    this.#socket.send(JSON.stringify(frame));
    clearTimeout(this.#pingTimer);
    this.#pingTimer = setTimeout(() => this.#ping(), this.#heartbeatMs);
  }

  #ping() {
    this.#expectAnswer();
    this.#write({ type: "ping" });
  }

  // Receiving --------------------------------------------------------------------------------------------------------

  #receive(text) {
    clearTimeout(this.#deadTimer);
    this.#deadTimer = null;
    const frame = JSON.parse(text);
    if (frame.type === "welcome") this.#welcomed(frame);
    else if (frame.type === "ack") this.#acknowledged(frame);
    else if (frame.type === "subscribed") this.#subscribed(frame);
    else if (frame.type === "error") this.#refused(frame);
    else if (frame.type === "reconnect") this.#drain(frame);
    else if (frame.type === "receipt") this.#emit("receipt", frame);
    else if (frame.type === "typing") this.#othersType(frame);
    else if (frame.type === "presence") this.#othersAre(frame);
    else if (frame.seq !== undefined && frame.channel !== undefined) this.#placed(frame);
    // Frames of kinds that this client does not know are ignored: the protocol grows.
  }

  #welcomed(frame) {
    const again = this.#userId !== "";
    this.#userId = frame.user_id;
    this.#connectedAt = Date.now();
    this.#tokensRefused = 0;
    this.#heartbeatMs = frame.heartbeat_s * 1000;
    this.#maxFrameBytes = frame.max_frame_bytes;
    this.#setState("connected");
    this.#pingTimer = setTimeout(() => this.#ping(), this.#heartbeatMs);
    this.#goOn(frame.inbox);
    this.#pump();
    this.#writeUsers("watch", [...this.#watched.keys()]);
    this.#emit("welcome", frame, again);
  }

  get #inbox() {
    return `user:${this.#userId}`;
  }

  /** From its own cursors where there are some; an inbox without one is the server's to go on with. */
  #goOn(head) {
    const inbox = this.#channel(this.#inbox);
    if (inbox.resumable !== null) {
      this.#resume();
    } else {
      const missed = inbox.provisional && (inbox.place.epoch !== head.epoch || inbox.place.seq !== head.seq);
      this.#start(inbox, head, true);
      this.#sureTimer = setTimeout(() => this.#receivedSoon(), SURE_AFTER_MS);
      if (missed) this.#emit("gap", "no_cursor", inbox.name); // cut off before the server knew this device
    }
    for (const channel of this.#channels.values()) if (!channel.asked) this.#ask(channel);
  }

  #channel(name) {
    if (!this.#channels.has(name)) this.#channels.set(name, new Channel(name));
    return this.#channels.get(name);
  }

  /** The inbox comes first: `resume` has to be the first frame. */
  #resume() {
    const known = [...this.#channels.values()].filter(({ resumable }) => resumable !== null);
    const ordered = [...known].sort((a, b) => (b.name === this.#inbox) - (a.name === this.#inbox));
    this.#expectAnswer();
    for (let start = 0; start < ordered.length; start += RESUMED_AT_ONCE) {
      const part = ordered.slice(start, start + RESUMED_AT_ONCE);
      const channels = Object.fromEntries(part.map(({ name, place: { epoch, seq } }) => [name, { epoch, seq }]));
      this.#write({ type: "resume", id: this.#idFor("resume", part), channels });
    }
  }

  #ask(channel) {
    const since = channel.resumable === null ? {} : { since: channel.resumable };
    this.#write({ type: "subscribe", id: this.#idFor("subscribe", [channel]), channel: channel.name, ...since });
  }

  #idFor(word, channels) {
    const id = this.#asked.has(word) ? `${word}-${this.#asked.size}` : word;
    this.#asked.set(id, channels.map(({ name }) => name));
    for (const channel of channels) Object.assign(channel, { asked: true, question: id });
    return id;
  }

  /** The answer to a question, or told by the server of a group or the inbox: what follows comes after `since`. */
  #subscribed(frame) {
    const { channel: name, epoch, seq, since = seq, recovered, reason } = frame;
    const channel = this.#channel(name);
    if (!channel.goesOnWith(frame.id)) return;
    const known = channel.resumable;
    const ahead = recovered && known?.epoch === epoch && known.seq > since; // what comes may be known already
    const early = channel.early.splice(0);
    if (!recovered) this.#missed(channel, reason, early);
    this.#start(channel, ahead ? known : { epoch, seq: since });
    this.#emit("subscribed", frame);
    for (const { resolve } of this.#waitingFor(name)) resolve(frame);
  }

  #waitingFor(name) {
    const waiting = this.#subscribers.get(name) ?? [];
    this.#subscribers.delete(name);
    return waiting;
  }

  /** What came meanwhile will not come again. */
  #missed(channel, reason, early) {
    channel.waiting = false;
    this.#emit("gap", reason, channel.name);
    for (const frame of early) this.#placed(frame);
  }

  /** From here on the cursor follows what comes; told to the server even when nothing does, so that it knows us. */
  #start(channel, place, provisional = false) {
    channel.start(place, provisional);
    this.#receivedSoon();
  }

  /** A message, or whatever else has its place in a channel. */
  #placed(frame) {
    const channel = this.#channels.get(frame.channel);
    if (channel === undefined) return undefined; // left, and this was on its way
    if (channel.waiting) return channel.layAside(frame);
    if (!this.#note(channel, frame)) return undefined;
    const own = frame.from === this.#userId ? this.#outbox.get(frame.dedup_id) : undefined;
    if (own !== undefined) return this.#settle(own, frame); // sent before a cut, and this is the proof
    if (!this.#firstTime(frame)) return undefined;
    if (frame.type === "membership") this.#changed(channel, frame);
    if (frame.type === "message" || frame.type === "membership") this.#emit(frame.type, frame);
    return undefined;
  }

  /** The inbox tells where a new member begins; what a removed one read is over. */
  #changed(channel, { change, group_id: groupId, user_ids: userIds = [], since }) {
    const name = `group:${groupId}`;
    const concerned = userIds.includes(this.#userId);
    if (change === "deleted" || (change === "removed" && concerned)) this.#channels.delete(name);
    if (change !== "added" || !concerned || since === undefined) return;
    const { begun, place } = this.#channels.get(name) ?? {};
    const late = begun?.epoch === since.epoch && begun.seq > since.seq; // the server did not know where to begin
    if (late && place.seq !== begun.seq) this.#emit("gap", "no_cursor", name); // and it went on: the order is gone
    else if (late || begun === undefined) this.#joinAt(name, since);
  }

  #joinAt(name, { epoch, seq }) {
    const joined = new Channel(name, { epoch, seq });
    this.#channels.set(name, joined);
    this.#ask(joined);
  }

  #firstTime({ channel, message_id: messageId }) {
    const key = `${channel} ${messageId}`;
    if (messageId === undefined) return true;
    if (this.#seen.has(key)) return false;
    this.#seen.add(key);
    if (this.#seen.size > REMEMBERED_IDS) this.#seen.delete(this.#seen.values().next().value);
    return true;
  }

  /** Moves the channel's cursor; an ack stands in its message's place and counts too. */
  #note(channel, place) {
    if (!channel.takes(place)) return false;
    this.#receivedSoon();
    return true;
  }

  #receivedSoon() {
    this.#receivedTimer ??= setTimeout(() => this.#tellReceived(), RECEIVED_EVERY_MS);
  }

  #tellReceived() {
    this.#receivedTimer = null;
    if (this.#state.name !== "connected") return;
    const sure = Date.now() - this.#connectedAt >= SURE_AFTER_MS;
    for (const channel of this.#channels.values()) {
      if (channel.told || channel.waiting || channel.place === null) continue;
      if (channel.provisional && !sure) continue; // it would hide what the server is about to send again
      channel.told = true;
      this.#write({ type: "received", channel: channel.name, seq: channel.place.seq });
    }
    this.#tellReads();
  }

  /** The gateway is leaving: it closes when it is ready, and if it has not by then, this side does. */
  #drain({ after_ms: afterMs = 0 }) {
    this.#drainUntil = Date.now() + afterMs;
    const socket = this.#socket;
    this.#retryTimer = setTimeout(() => {
      this.#closed(1012, "the gateway restarts", true);
      socket.close(1000);
    }, afterMs);
  }

  // Topics -----------------------------------------------------------------------------------------------------------

  /** Reads a topic from now on, over reconnects; a Promise of the `subscribed` frame, which rejects with the error. */
  subscribe(name) {
    const channel = this.#channel(name);
    const answer = new Promise((resolve, reject) => {
      this.#subscribers.set(name, [...(this.#subscribers.get(name) ?? []), { resolve, reject }]);
    });
    if (!channel.asked) {
      if (this.#state.name === "connected") this.#ask(channel);
    } else if (!channel.waiting) {
      const known = { type: "subscribed", channel: name, recovered: true, ...channel.place };
      for (const { resolve } of this.#waitingFor(name)) resolve(known);
    }
    return answer;
  }

  unsubscribe(name) {
    this.#channels.delete(name);
    this.#write({ type: "unsubscribe", channel: name });
  }

  // Told now and then, and not kept ----------------------------------------------------------------------------------

  #othersType({ from, channel, state }) {
    const conversation = channel ?? from;
    const key = `${conversation} ${from}`;
    const known = this.#typists.has(key);
    clearTimeout(this.#typists.get(key));
    this.#typists.delete(key);
    const stop = () => this.#othersType({ from, channel, state: "stop" });
    if (state === "start") this.#typists.set(key, setTimeout(stop, TYPING_ENDS_MS));
    if (known !== (state === "start")) this.#emit("typing", { from, conversation, state });
  }

  /** This user types; call it for every key. */
  typing(conversation, state = "start") {
    const last = this.#typed.get(conversation);
    const due = state === "start" ? last === undefined || Date.now() - last >= TYPING_AGAIN_MS : last !== undefined;
    if (!due) return;
    if (state === "start") this.#typed.set(conversation, Date.now());
    else this.#typed.delete(conversation);
    this.#write({ type: "typing", state, ...targetOf(conversation) });
  }

  #othersAre({ user_id: userId, status, last_seen: lastSeen }) {
    const last = this.#watched.get(userId);
    if (last === undefined || (last?.status === status && last.lastSeen === lastSeen)) return; // told again after a cut
    this.#watched.set(userId, { userId, status, lastSeen });
    this.#emit("presence", { userId, status, lastSeen });
  }

  /**
   * From now on "presence" tells how it is with these users, over reconnects; with at most 500 in all. Said again of
   * someone, it is asked again: who has just become a contact is seen at once.
   */
  watch(userIds) {
    const added = userIds.filter((userId) => !this.#watched.has(userId));
    if (new Set([...this.#watched.keys(), ...added]).size > MAX_WATCHED) {
      throw new RangeError(`at most ${MAX_WATCHED} users are watched`);
    }
    for (const userId of added) this.#watched.set(userId, null);
    this.#writeUsers("watch", userIds);
  }

  unwatch(userIds) {
    this.#writeUsers("unwatch", userIds.filter((userId) => this.#watched.delete(userId)));
  }

  #writeUsers(type, userIds) {
    for (let at = 0; at < userIds.length; at += WATCHED_AT_ONCE) {
      this.#write({ type, user_ids: userIds.slice(at, at + WATCHED_AT_ONCE) });
    }
  }

  /** An error that names no frame, and wants to be tried again, may have been about a `watch`. */
  #watchAgainSoon() {
    if (this.#watched.size === 0) return;
    this.#watchTimer ??= setTimeout(() => {
      this.#watchTimer = null;
      this.#writeUsers("watch", [...this.#watched.keys()]);
    }, WATCH_AGAIN_MS);
  }

  /** What this device knows of its user: "online" or "away". Others see the best of all devices. */
  setStatus(status) {
    if (status === this.#status) return;
    this.#status = status;
    this.#write({ type: "status", status });
  }

  /** This user has read all of a conversation that was handed over; false before anything was. */
  readAll(conversation) {
    const channel = this.#channels.get(isChannel(conversation) ? conversation : this.#inbox);
    if (!channel?.place) return false; // nothing was handed over yet
    this.#markRead(conversation, channel.name, channel.place);
    return true;
  }

  /** This user has read a conversation up to a message that came. */
  read({ conversation, channel, epoch, seq }) {
    this.#markRead(conversation, channel, { epoch, seq });
  }

  #markRead(conversation, channel, { epoch, seq }) {
    const known = this.#reads.get(conversation);
    if (known?.epoch === epoch && known.seq >= seq) return;
    this.#reads.delete(conversation);
    this.#reads.set(conversation, { channel, epoch, seq, told: false });
    if (this.#reads.size > MAX_READS) this.#reads.delete(this.#reads.keys().next().value);
    this.#receivedSoon();
  }

  /** Only where the channel is being read: the server does not take it before. */
  #tellReads() {
    for (const [conversation, read] of this.#reads) {
      const channel = this.#channels.get(read.channel);
      if (read.told || !channel || channel.waiting || channel.place?.epoch !== read.epoch) continue;
      read.told = true;
      const more = isChannel(conversation) ? {} : { conversation };
      this.#write({ type: "read", channel: read.channel, seq: read.seq, ...more });
    }
  }

  // Sending ----------------------------------------------------------------------------------------------------------

  /**
   * Sends any JSON value; the entry's `state` tells how it went, and every change comes as a "send" event. `more` is
   * {kind, ref, push}.
   */
  send(conversation, content, more = {}) {
    const entry = { dedupId: randomId(), conversation, content, more, createdAt: Date.now(), firstSentAt: null };
    return this.#enter(entry);
  }

  /** Gives an own message another content. A message is one from the socket or the history, or a sent entry. */
  edit(message, content) {
    return this.#about(message, "edit", content);
  }

  /** Takes an own message back. */
  delete(message) {
    return this.#about(message, "delete", null);
  }

  /** Adds a reaction to anyone's message, or takes one's own back. */
  react(message, emoji, remove = false) {
    return this.#about(message, "reaction", remove ? { emoji, remove: true } : { emoji });
  }

  #about({ conversation, message_id: id, messageId = id }, kind, content) {
    return this.send(conversation, content, { kind, ref: messageId });
  }

  /** Takes over what another instance left unsettled, under the same idempotency keys. */
  restore(entries) {
    for (const { dedupId, conversation, content, more, createdAt, firstSentAt } of entries) {
      this.#enter({ dedupId, conversation, content, more, createdAt, firstSentAt });
    }
  }

  /** Tries a failed send again. It is still the same message, under the same key. */
  retry(dedupId) {
    const entry = this.#outbox.get(dedupId);
    if (entry?.state === "failed") this.#enter(entry);
  }

  /** Lets go of a failed send. */
  forget(dedupId) {
    const entry = this.#outbox.get(dedupId);
    if (entry?.state !== "failed") return;
    this.#outbox.delete(dedupId);
    this.#emit("send", Object.assign(entry, { state: "withdrawn" }));
  }

  #enter(entry) {
    const full = this.#outbox.size >= MAX_UNSETTLED && !this.#outbox.has(entry.dedupId);
    Object.assign(entry, { state: "pending", error: null, tries: 0, timer: null });
    this.#outbox.set(entry.dedupId, entry);
    this.#emit("send", entry);
    if (full) this.#fail(entry, "too_many", `${MAX_UNSETTLED} messages wait already`);
    else this.#transmit(entry);
    return entry;
  }

  /** Those that wait for their turn. */
  #pump() {
    for (const entry of this.#outbox.values()) {
      if (this.#onWire.size >= MAX_ON_WIRE) return;
      if (entry.state === "pending" && !this.#onWire.has(entry)) this.#transmit(entry);
    }
  }

  #transmit(entry) {
    if (this.#state.name !== "connected") return; // goes out with the next welcome
    if (this.#onWire.size >= MAX_ON_WIRE && !this.#onWire.has(entry)) return; // its turn comes with an ack
    if (entry.tries >= MAX_TRIES) return this.#fail(entry, "no_answer", "the platform did not confirm the message");
    const frame = sendFrame(entry);
    if (new TextEncoder().encode(JSON.stringify(frame)).length > this.#maxFrameBytes) {
      return this.#fail(entry, "too_large", `the message is over the limit of ${this.#maxFrameBytes} bytes`);
    }
    entry.tries += 1;
    entry.firstSentAt ??= Date.now();
    this.#onWire.add(entry);
    this.#expectAnswer();
    this.#tryAgainAfter(entry, ANSWER_WITHIN_MS);
    return this.#write(frame);
  }

  #tryAgainAfter(entry, ms) {
    clearTimeout(entry.timer);
    entry.timer = setTimeout(() => this.#transmit(entry), ms);
  }

  #acknowledged(frame) {
    const channel = this.#channels.get(frame.channel);
    const placed = channel !== undefined && !channel.waiting && channel.place?.epoch === frame.epoch;
    if (placed) this.#note(channel, frame); // else its place comes again, or is not known any more
    const entry = this.#outbox.get(frame.dedup_id ?? frame.id);
    if (entry !== undefined) this.#settle(entry, frame);
  }

  #settle(entry, { channel, message_id: messageId, sent_at: sentAt }) {
    clearTimeout(entry.timer);
    this.#outbox.delete(entry.dedupId);
    this.#onWire.delete(entry);
    this.#firstTime({ channel, message_id: messageId });
    this.#emit("send", Object.assign(entry, { state: "sent", messageId, sentAt }));
    this.#pump();
  }

  #refused(frame) {
    if (this.#asked.has(frame.id)) return this.#notSubscribed(frame);
    const again = TRY_AGAIN.has(frame.code);
    if (again && frame.id === undefined) this.#watchAgainSoon();
    const entry = this.#outbox.get(frame.id);
    // An error that names no frame may be about any that is unanswered.
    const unanswered = entry ? [entry] : [...this.#onWire];
    if (entry && !again) return this.#fail(entry, frame.code, frame.message);
    if (!again || unanswered.length === 0) return this.#emit("error", frame);
    for (const one of unanswered) this.#tryAgainAfter(one, frame.retry_after_ms ?? backoffMs(one.tries, this.#random));
    return undefined;
  }

  /** A gateway that cannot resume: the history can. One that cannot now is asked again. */
  #notSubscribed(frame) {
    const names = frame.channel === undefined ? this.#asked.get(frame.id) : [frame.channel];
    const channels = names.map((name) => this.#channels.get(name)).filter((channel) => channel?.waiting);
    if (TRY_AGAIN.has(frame.code)) {
      const socket = this.#socket;
      const again = () => socket === this.#socket && channels.forEach((channel) => this.#ask(channel));
      return void setTimeout(again, frame.retry_after_ms ?? BACKOFF_MIN_MS);
    }
    for (const channel of channels) this.#giveUp(channel, frame);
    return undefined;
  }

  #giveUp(channel, frame) {
    if (channel.name === this.#inbox) return this.#missed(channel, frame.code, channel.early.splice(0));
    this.#channels.delete(channel.name);
    const waiting = this.#waitingFor(channel.name);
    for (const { reject } of waiting) reject(Object.assign(new Error(frame.message), { code: frame.code }));
    return undefined;
  }

  #fail(entry, code, message) {
    clearTimeout(entry.timer);
    this.#onWire.delete(entry);
    this.#emit("send", Object.assign(entry, { state: "failed", error: { code, message } }));
    this.#pump();
  }
}
