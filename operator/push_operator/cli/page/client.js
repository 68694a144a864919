/**
 * A PushCluster client: one WebSocket kept alive, every send delivered once, every message handed over once.
 *
 * It knows the protocol and nothing of the page, and takes its WebSocket class as an argument, so the same file runs
 * in a browser and in Node. It tells what happens through `on(name, listener)`:
 *
 *   state    {name, reason, retryAt}   "connecting" | "connected" | "waiting" | "stopped"
 *   welcome  (frame, again)            `again`: after a reconnect
 *   gap      (reason)                  what was missed cannot all be sent again: read the history
 *   message  (frame)                   each message once, also when the server had to repeat it
 *   send     (entry)                   a send changed: entry.state is "pending" | "sent" | "failed" | "withdrawn"
 *   error    (frame)                   an error that answers no send
 */

/** Close codes after which connecting again would be wrong. All others mean: connect again, with backoff. */
export const CLOSE_EXPIRED = 4401; // get a new token first
export const CLOSE_ELSEWHERE = 4409; // the same device is connected elsewhere; reconnecting would only take turns

const BACKOFF_MIN_MS = 500;
const BACKOFF_MAX_MS = 30_000;
const STABLE_AFTER_MS = 5_000; // a connection that lived this long starts the backoff anew
const RECEIVED_EVERY_MS = 500;
const ANSWER_WITHIN_MS = 15_000; // no welcome, pong or ack in this time: the connection is taken for dead
const MAX_TRIES = 5;
const DEDUP_WINDOW_MS = 110_000; // the server knows a dedup_id for 2 minutes; later the same frame would count twice
const REMEMBERED_IDS = 5_000;
const UNCONFIRMED = "unconfirmed";
const RESUME = "resume"; // the id of that frame
const TRY_AGAIN = new Set(["rate_limited", "unavailable"]);

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
  #attempt = 0;
  #connectedAt = 0;
  #drainUntil = null; // a `reconnect` frame said when to come back
  #retryTimer = null;
  #deadTimer = null;
  #pingTimer = null;
  #heartbeatMs = 25_000;
  #maxFrameBytes = 65_536;

  #outbox = new Map(); // dedup_id -> entry, in the order of sending
  #seen = new Set(); // message_ids handed over already, oldest first
  #cursors = new Map(); // channel -> {epoch, seq, told}
  #receivedTimer = null;
  #inbox = null; // {channel, epoch, seq}: how far the inbox is known
  #early = null; // messages that came before the answer to `resume`: they come again, unless it says otherwise

  /**
   * @param {object} options
   * @param {string} options.gateway the address of the socket, ws:// or wss://
   * @param {string} options.token the access token
   * @param {string} options.deviceId a stable id of this installation
   * @param {typeof WebSocket} [options.WebSocket] the class to connect with
   * @param {() => Promise<"valid" | "expired" | "unreachable">} [options.checkToken] asked when a handshake is
   *   refused, because a browser cannot see the reason
   * @param {() => number} [options.random] a number in [0, 1)
   */
  constructor({ gateway, token, deviceId, WebSocket = globalThis.WebSocket, checkToken, random = Math.random }) {
    this.#gateway = gateway;
    this.#token = token;
    this.#deviceId = deviceId;
    this.#WebSocket = WebSocket;
    this.#checkToken = checkToken ?? (async () => "valid");
    this.#random = random;
  }

  get state() {
    return this.#state;
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
    const url = new URL(this.#gateway);
    url.searchParams.set("token", this.#token);
    url.searchParams.set("device_id", this.#deviceId);
    if (this.#inbox !== null) url.searchParams.set("resume", "client"); // it knows better than the server where it was
    const socket = new this.#WebSocket(url.href);
    let opened = false;
    this.#socket = socket;
    socket.onopen = () => (opened = true);
    socket.onerror = () => {}; // a close event always follows, and says more
    socket.onmessage = (event) => socket === this.#socket && this.#receive(event.data);
    socket.onclose = (event) => socket === this.#socket && this.#closed(event.code, event.reason, opened);
    this.#expectAnswer();
    this.#setState("connecting");
  }

  /** Lets go of the socket and of every timer that belongs to it. What it still says is not heard any more. */
  #detach() {
    for (const timer of [this.#retryTimer, this.#deadTimer, this.#pingTimer, this.#receivedTimer]) clearTimeout(timer);
    this.#deadTimer = this.#receivedTimer = this.#early = null;
    for (const entry of this.#outbox.values()) clearTimeout(entry.timer);
    const socket = this.#socket;
    this.#socket = null;
    return socket;
  }

  #closed(code, reason, opened) {
    const lived = this.#state.name === "connected" ? Date.now() - this.#connectedAt : 0;
    if (lived >= STABLE_AFTER_MS) this.#attempt = 0;
    this.#detach();
    if (code === CLOSE_EXPIRED) return this.#setState("stopped", "expired");
    if (code === CLOSE_ELSEWHERE) return this.#setState("stopped", "elsewhere");
    this.#waitAndReconnect(opened ? reason || `connection closed (${code})` : "the gateway cannot be reached");
    if (!opened) this.#askWhetherExpired();
    return undefined;
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
    this.#setState("stopped", "expired");
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
    else if (frame.type === "message") this.#message(frame);
    else if (frame.type === "ack") this.#acknowledged(frame);
    else if (frame.type === "subscribed") this.#subscribed(frame);
    else if (frame.type === "error") this.#refused(frame);
    else if (frame.type === "reconnect") this.#drain(frame);
    // Frames of kinds that this client does not know are ignored: the protocol grows.
  }

  #welcomed(frame) {
    const again = this.#inbox !== null;
    this.#connectedAt = Date.now();
    this.#heartbeatMs = frame.heartbeat_s * 1000;
    this.#maxFrameBytes = frame.max_frame_bytes;
    this.#setState("connected");
    this.#pingTimer = setTimeout(() => this.#ping(), this.#heartbeatMs);
    if (again) this.#resume();
    else this.#goOnFrom(`user:${frame.user_id}`, frame.inbox);
    for (const entry of this.#outbox.values()) if (entry.state === "pending") this.#transmit(entry);
    this.#emit("welcome", frame, again);
  }

  #resume() {
    const { channel, epoch, seq } = this.#inbox;
    this.#early = [];
    this.#expectAnswer();
    this.#write({ type: "resume", id: RESUME, channels: { [channel]: { epoch, seq } } });
  }

  /** The answer to a resume, also to one that the server made by itself: what follows is what comes after `since`. */
  #subscribed({ channel, epoch, seq, since = seq, recovered, reason }) {
    if (channel !== this.#inbox?.channel) return;
    this.#goOnFrom(channel, { epoch, seq: since });
    this.#resumed(recovered ? null : reason);
  }

  #resumed(reason) {
    const early = this.#early ?? [];
    this.#early = null;
    if (reason === null) return;
    this.#emit("gap", reason);
    for (const frame of early) this.#message(frame);
  }

  /** From here on the cursor follows what comes; told to the server even when nothing does, so that it knows us. */
  #goOnFrom(channel, { epoch, seq }) {
    this.#inbox = { channel, epoch, seq };
    this.#cursors.set(channel, { epoch, seq, told: false });
    this.#receivedTimer ??= setTimeout(() => this.#tellReceived(), RECEIVED_EVERY_MS);
  }

  #message(frame) {
    if (this.#early !== null && frame.channel === this.#inbox.channel) return void this.#early.push(frame);
    const repeated = this.#knows(frame);
    this.#note(frame);
    const own = frame.dedup_id === undefined ? undefined : this.#outbox.get(frame.dedup_id);
    if (own !== undefined) return this.#settle(own, frame); // sent before a cut, and this is the proof
    if (!repeated && this.#firstTime(frame.message_id)) this.#emit("message", frame);
    return undefined;
  }

  #knows({ channel, epoch, seq }) {
    const known = this.#cursors.get(channel);
    return known?.epoch === epoch && known.seq >= seq;
  }

  #firstTime(messageId) {
    if (this.#seen.has(messageId)) return false;
    this.#seen.add(messageId);
    if (this.#seen.size > REMEMBERED_IDS) this.#seen.delete(this.#seen.values().next().value);
    return true;
  }

  /** Moves the channel's cursor; an ack stands in its message's place and counts too. */
  #note(frame) {
    if (this.#knows(frame)) return;
    const { channel, epoch, seq } = frame;
    if (channel === this.#inbox.channel) this.#inbox = { channel, epoch, seq };
    this.#cursors.set(channel, { epoch, seq, told: false });
    this.#receivedTimer ??= setTimeout(() => this.#tellReceived(), RECEIVED_EVERY_MS);
  }

  #tellReceived() {
    this.#receivedTimer = null;
    for (const [channel, cursor] of this.#cursors) {
      if (!cursor.told) this.#write({ type: "received", channel, seq: cursor.seq });
      cursor.told = true;
    }
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

  // Sending ----------------------------------------------------------------------------------------------------------

  /** Sends any JSON value; the entry's `state` tells how it went, and every change comes as a "send" event. */
  send(recipientId, content) {
    const entry = { dedupId: randomId(), recipientId, content, createdAt: Date.now(), firstSentAt: null };
    return this.#enter(entry);
  }

  /** Takes over what another instance left unsettled, under the same idempotency keys. */
  restore(entries) {
    for (const { dedupId, recipientId, content, createdAt, firstSentAt } of entries) {
      this.#enter({ dedupId, recipientId, content, createdAt, firstSentAt });
    }
  }

  /**
   * Tries a failed send again. It is still the same message: the key stays, unless the server has forgotten it. Then
   * whoever asks has seen that it is missing, and it becomes a new send.
   */
  retry(dedupId) {
    const entry = this.#outbox.get(dedupId);
    if (entry?.state !== "failed") return undefined;
    if (entry.error.code !== UNCONFIRMED) return void this.#enter(entry);
    this.#outbox.delete(dedupId);
    this.#emit("send", Object.assign(entry, { state: "withdrawn" }));
    return void this.send(entry.recipientId, entry.content);
  }

  #enter(entry) {
    Object.assign(entry, { state: "pending", error: null, tries: 0, timer: null });
    this.#outbox.set(entry.dedupId, entry);
    this.#emit("send", entry);
    this.#transmit(entry);
    return entry;
  }

  #transmit(entry) {
    if (this.#state.name !== "connected") return; // goes out with the next welcome
    if (entry.tries >= MAX_TRIES) return this.#fail(entry, "no_answer", "the platform did not confirm the message");
    if (entry.firstSentAt !== null && Date.now() - entry.firstSentAt > DEDUP_WINDOW_MS) {
      return this.#fail(entry, UNCONFIRMED, "the connection was lost before the platform could confirm it");
    }
    const { dedupId, recipientId, content } = entry;
    const frame = { type: "send_message", id: dedupId, dedup_id: dedupId, recipient_id: recipientId, content };
    if (new TextEncoder().encode(JSON.stringify(frame)).length > this.#maxFrameBytes) {
      return this.#fail(entry, "too_large", `the message is over the limit of ${this.#maxFrameBytes} bytes`);
    }
    entry.tries += 1;
    entry.firstSentAt ??= Date.now();
    this.#expectAnswer();
    this.#tryAgainAfter(entry, ANSWER_WITHIN_MS);
    return this.#write(frame);
  }

  #tryAgainAfter(entry, ms) {
    clearTimeout(entry.timer);
    entry.timer = setTimeout(() => this.#transmit(entry), ms);
  }

  #acknowledged(frame) {
    if (this.#early === null) this.#note(frame); // else its place comes again
    const entry = this.#outbox.get(frame.dedup_id ?? frame.id);
    if (entry !== undefined) this.#settle(entry, frame);
  }

  #settle(entry, { message_id: messageId, sent_at: sentAt }) {
    clearTimeout(entry.timer);
    this.#outbox.delete(entry.dedupId);
    this.#firstTime(messageId);
    this.#emit("send", Object.assign(entry, { state: "sent", messageId, sentAt }));
  }

  #refused(frame) {
    const again = TRY_AGAIN.has(frame.code);
    if (frame.id === RESUME) return this.#resumed(frame.code); // a gateway that cannot: the history can
    const entry = this.#outbox.get(frame.id);
    // An error that names no frame may be about any that is unanswered.
    const unanswered = entry ? [entry] : this.unsettled.filter(({ state, tries }) => state === "pending" && tries > 0);
    if (entry && !again) return this.#fail(entry, frame.code, frame.message);
    if (!again || unanswered.length === 0) return this.#emit("error", frame);
    for (const one of unanswered) this.#tryAgainAfter(one, frame.retry_after_ms ?? backoffMs(one.tries, this.#random));
    return undefined;
  }

  #fail(entry, code, message) {
    clearTimeout(entry.timer);
    this.#emit("send", Object.assign(entry, { state: "failed", error: { code, message } }));
  }
}
