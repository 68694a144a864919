/** The page's client against a socket made of paper: every rule of the protocol that is about time or failure. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { beforeEach, mock, test } from "node:test";
import { PushClient, backoffMs, fold } from "../../operator/push_operator/cli/page/client.js";

const WELCOME = { type: "welcome", user_id: "me", heartbeat_s: 25, max_frame_bytes: 1000, inbox: { epoch: "e", seq: 7 } };
let sockets;
let expired;

class PaperSocket {
  sent = [];
  closedWith = null;

  constructor(url) {
    this.url = new URL(url);
    sockets.push(this);
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close(code) {
    this.closedWith = code ?? 1005;
  }

  hears(frame) {
    this.onmessage({ data: JSON.stringify(frame) });
  }

  opens(welcome = WELCOME) {
    this.onopen();
    this.hears(welcome);
    return this;
  }

  ends(code, reason = "") {
    this.onclose({ code, reason });
  }

  sends(type) {
    return this.sent.filter((frame) => frame.type === type);
  }
}

function started() {
  const client = new PushClient({
    gateway: "ws://gateway.test/ws",
    token: "a.b.c",
    deviceId: "device",
    WebSocket: PaperSocket,
    checkToken: async () => (expired ? "expired" : "valid"),
    random: () => 0.5,
  });
  client.start();
  return client;
}

function now() {
  return sockets.at(-1);
}

const ack = (frame, seq) => ({
  type: "ack", id: frame.id, dedup_id: frame.dedup_id, message_id: `m-${frame.dedup_id}`,
  channel: "user:me", epoch: "e", seq, sent_at: 1,
});
const message = (id, seq, more = {}) => ({
  type: "message", channel: "user:me", epoch: "e", seq, prev: seq - 1, message_id: id,
  from: "you", recipient_id: "me", conversation: "you", content: id, sent_at: 1, kind: "text", ...more,
});

const subscribed = (since, seq, more = {}) => ({
  type: "subscribed", channel: "user:me", epoch: "e", seq, since, recovered: true, ...more,
});

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  sockets = [];
  expired = false;
});

test("the backoff doubles, has jitter, and stays between half a second and half a minute", () => {
  assert.deepEqual([0, 1, 2, 20].map((attempt) => backoffMs(attempt, () => 0.999999)), [1000, 2000, 4000, 30_000]);
  assert.equal(backoffMs(20, () => 0), 500);
});

test("it connects with token and device, and is connected with the welcome", () => {
  const client = started();
  assert.equal(now().url.search, "?token=a.b.c&device_id=device");
  assert.equal(client.state.name, "connecting");
  now().opens();
  assert.equal(client.state.name, "connected");
});

test("a send is pending until its ack", () => {
  const client = started();
  now().opens();
  const entry = client.send("you", "hi");
  const [frame] = now().sends("send_message");
  assert.ok(frame.dedup_id.length >= 16);
  assert.equal(entry.state, "pending");
  now().hears(ack(frame, 8));
  assert.equal(entry.state, "sent");
  assert.equal(client.unsettled.length, 0);
});

test("what was not confirmed goes out again after a cut, under the same key and in order", () => {
  const client = started();
  now().opens();
  client.send("you", "first");
  client.send("you", "second");
  const before = now().sends("send_message");
  now().ends(1006);
  assert.equal(client.state.name, "waiting");
  mock.timers.tick(1000);
  now().opens();
  assert.equal(sockets.length, 2);
  assert.deepEqual(now().sends("send_message"), before);
});

test("what is written while away goes out with the welcome", () => {
  const client = started();
  client.send("you", "early");
  assert.equal(now().sent.length, 0);
  now().opens();
  assert.equal(now().sends("send_message")[0].content, "early");
});

test("its own message on the channel confirms a send whose ack was lost", () => {
  const client = started();
  const seen = [];
  client.on("message", (frame) => seen.push(frame));
  now().opens();
  const entry = client.send("you", "hi");
  now().ends(1006);
  mock.timers.tick(1000);
  now().opens().hears(subscribed(7, 8));
  now().hears(message("m1", 8, { from: "me", dedup_id: entry.dedupId }));
  assert.equal(entry.state, "sent");
  assert.equal(entry.messageId, "m1");
  assert.deepEqual(seen, []);
});

test("after two minutes the server is to ask the history, whose ack moves no cursor", () => {
  const client = started();
  now().opens().hears(message("m8", 8));
  const entry = client.send("you", "hi");
  client.stop();
  mock.timers.tick(120_000);
  client.start();
  now().opens().hears(subscribed(8, 8));
  const [again] = now().sends("send_message");
  assert.deepEqual([again.dedup_id, again.retry], [entry.dedupId, true]);
  now().hears({ ...ack(again, 0), epoch: "", duplicate: true });
  assert.equal(entry.state, "sent");
  assert.deepEqual(client.cursors, { "user:me": { epoch: "e", seq: 8 } });
});

test("a repeated message is handed over once, by its id and by its place", () => {
  const client = started();
  const seen = [];
  client.on("message", ({ message_id: id }) => seen.push(id));
  now().opens();
  for (const [id, seq] of [["m1", 8], ["m2", 9], ["m1", 10], ["forgotten", 9], ["m3", 11]]) now().hears(message(id, seq));
  assert.deepEqual(seen, ["m1", "m2", "m3"]);
});

test("received is cumulative and comes at most twice a second", () => {
  started();
  now().opens();
  for (let seq = 8; seq <= 12; seq += 1) now().hears(message(`m${seq}`, seq));
  assert.deepEqual(now().sends("received"), []);
  mock.timers.tick(500);
  assert.deepEqual(now().sends("received"), [{ type: "received", channel: "user:me", seq: 12 }]);
  mock.timers.tick(5000);
  assert.equal(now().sends("received").length, 1);
});

test("a device without messages says where it began, once the server had its say", () => {
  started();
  now().opens();
  mock.timers.tick(500);
  assert.deepEqual(now().sends("received"), []);
  mock.timers.tick(11_500);
  mock.timers.tick(500);
  assert.deepEqual(now().sends("received"), [{ type: "received", channel: "user:me", seq: 7 }]);
});

test("received is told for the channel that moved only", () => {
  started();
  now().opens().hears(message("m8", 8));
  mock.timers.tick(500);
  now().hears(subscribed(0, 0, { channel: "group:g" }));
  now().hears(message("g1", 1, { channel: "group:g" }));
  mock.timers.tick(500);
  assert.deepEqual(now().sends("received").map(({ channel, seq }) => [channel, seq]), [["user:me", 8], ["group:g", 1]]);
});

test("it pings when idle, and takes a silent connection for dead", () => {
  const client = started();
  now().opens();
  mock.timers.tick(12_500); // it tells where it began
  mock.timers.tick(25_000);
  assert.equal(now().sends("ping").length, 1);
  now().hears({ type: "pong", server_time: 1 });
  mock.timers.tick(25_000);
  mock.timers.tick(15_000);
  assert.equal(client.state.name, "waiting");
  assert.notEqual(now().closedWith, null);
});

test("a reconnect frame says when to come back", () => {
  const client = started();
  now().opens().hears({ type: "reconnect", after_ms: 700, reason: "drain" });
  now().ends(1012);
  mock.timers.tick(699);
  assert.equal(sockets.length, 1);
  mock.timers.tick(1);
  assert.equal(sockets.length, 2);
  now().opens();
  assert.equal(client.state.name, "connected");
});

test("a gateway that announced its end and does not close is left", () => {
  started();
  const old = now().opens();
  old.hears({ type: "reconnect", after_ms: 700, reason: "drain" });
  mock.timers.tick(700);
  mock.timers.tick(0);
  assert.equal(old.closedWith, 1000);
  assert.equal(sockets.length, 2);
});

for (const [code, reason] of [[4400, "misused"], [4401, "expired"], [4403, "ended"], [4409, "elsewhere"]]) {
  test(`close ${code} is final`, () => {
    const client = started();
    now().opens().ends(code);
    mock.timers.tick(60_000);
    assert.deepEqual([client.state.name, client.state.reason, sockets.length], ["stopped", reason, 1]);
  });
}

for (const code of [1001, 1006, 1009, 1012, 1013, 4408, 4410]) {
  test(`close ${code} is followed by a new connection`, () => {
    started();
    now().opens().ends(code);
    mock.timers.tick(1000);
    assert.equal(sockets.length, 2);
  });
}

test("connections that end at once are tried ever more slowly", () => {
  started();
  const waits = [];
  for (let attempt = 0; attempt < 4; attempt += 1) {
    now().opens().ends(1013);
    const before = sockets.length;
    let waited = 0;
    for (; sockets.length === before; waited += 250) mock.timers.tick(250);
    waits.push(waited);
  }
  assert.deepEqual(waits, [750, 1250, 2250, 4250]);
});

test("a refused handshake asks whether the token is still good", async () => {
  const client = started();
  expired = true;
  now().ends(1006);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([client.state.name, client.state.reason], ["stopped", "expired"]);
});

test("too fast or unavailable: the same frame again, when the server says", () => {
  const client = started();
  now().opens();
  const entry = client.send("you", "hi");
  now().hears({ type: "error", id: entry.dedupId, code: "unavailable", message: "away", retry_after_ms: 300 });
  mock.timers.tick(300);
  now().hears({ type: "error", code: "rate_limited", message: "too many frames", retry_after_ms: 200 });
  mock.timers.tick(200);
  const keys = now().sends("send_message").map(({ dedup_id: key }) => key);
  assert.deepEqual(keys, [entry.dedupId, entry.dedupId, entry.dedupId]);
});

test("a refusal fails the send, and retry sends it under its own key", () => {
  const client = started();
  now().opens();
  const entry = client.send("you", "hi");
  now().hears({ type: "error", id: entry.dedupId, code: "forbidden", message: "blocked" });
  assert.deepEqual([entry.state, entry.error], ["failed", { code: "forbidden", message: "blocked" }]);
  client.retry(entry.dedupId);
  assert.equal(entry.state, "pending");
  assert.equal(now().sends("send_message")[1].dedup_id, entry.dedupId);
});

test("a message over the limit is not even sent", () => {
  const client = started();
  now().opens();
  assert.equal(client.send("you", "x".repeat(1000)).error.code, "too_large");
  assert.equal(now().sends("send_message").length, 0);
});

test("a send that nobody answers fails in the end", () => {
  const client = started();
  now().opens();
  const entry = client.send("you", "hi");
  for (let second = 0; second < 120 && entry.state === "pending"; second += 1) {
    mock.timers.tick(1000);
    if (second % 10 === 0) now().hears({ type: "pong", server_time: 1 });
  }
  assert.equal(entry.error?.code, "no_answer");
});

/** A client that saw messages 8 and 9, lost its socket, and has a new one that is open. */
function cameBack(client, seen, gaps = []) {
  client.on("message", ({ message_id: id }) => seen.push(id));
  client.on("gap", (reason) => gaps.push(reason));
  now().opens();
  for (const seq of [8, 9]) now().hears(message(`m${seq}`, seq));
  now().ends(1006);
  mock.timers.tick(2000);
  now().opens({ ...WELCOME, inbox: { epoch: "e", seq: 11 } });
}

test("after a cut it resumes from its own cursor, and hands over what it missed in order", () => {
  const client = started();
  const [seen, gaps] = [[], []];
  assert.equal(now().url.searchParams.has("resume"), false);
  cameBack(client, seen, gaps);
  assert.equal(now().url.searchParams.get("resume"), "client");
  const [resume] = now().sends("resume");
  assert.deepEqual(resume.channels, { "user:me": { epoch: "e", seq: 9 } });
  now().hears(message("m12", 12)); // live, before the answer: it comes again in its place
  now().hears(subscribed(9, 12, { id: "resume" }));
  for (const seq of [10, 11, 12, 13]) now().hears(message(`m${seq}`, seq));
  assert.deepEqual([seen, gaps], [["m8", "m9", "m10", "m11", "m12", "m13"], []]);
});

test("a cut during the replay is resumed from where it came to", () => {
  const client = started();
  const seen = [];
  cameBack(client, seen);
  now().hears(subscribed(9, 12, { id: "resume" }));
  now().hears(message("m10", 10));
  now().ends(1006);
  mock.timers.tick(4000);
  now().opens({ ...WELCOME, inbox: { epoch: "e", seq: 12 } });
  assert.deepEqual(now().sends("resume")[0].channels, { "user:me": { epoch: "e", seq: 10 } });
});

for (const [answer, reason] of [
  [subscribed(20, 20, { id: "resume", recovered: false, reason: "too_old" }), "too_old"],
  [subscribed(1, 1, { id: "resume", epoch: "f", recovered: false, reason: "epoch_changed" }), "epoch_changed"],
  [{ type: "error", id: "resume", code: "unknown_type", message: "an older server" }, "unknown_type"],
]) {
  test(`what cannot be sent again (${reason}) is a gap, and what came meanwhile is not lost`, () => {
    const client = started();
    const [seen, gaps] = [[], []];
    cameBack(client, seen, gaps);
    now().hears(message("live", answer.seq ?? 12, { epoch: answer.epoch ?? "e", seq: (answer.seq ?? 12) + 1 }));
    now().hears(answer);
    now().hears(message("next", 0, { epoch: answer.epoch ?? "e", seq: (answer.seq ?? 12) + 2 }));
    assert.deepEqual([seen.slice(2), gaps], [["live", "next"], [reason]]);
  });
}

test("a resume that the server makes by itself sets the cursor back to where the device was", () => {
  const client = started();
  const seen = [];
  client.on("message", ({ message_id: id }) => seen.push(id));
  now().opens().hears(subscribed(5, 7));
  for (const seq of [6, 7, 8]) now().hears(message(`m${seq}`, seq, { replayed: seq < 8 }));
  assert.deepEqual(seen, ["m6", "m7", "m8"]);
  mock.timers.tick(500);
  assert.deepEqual(now().sends("received"), [{ type: "received", channel: "user:me", seq: 8 }]);
});

test("an ack before the answer to a resume does not move the cursor past what is still to come", () => {
  const client = started();
  client.on("message", () => {});
  now().opens();
  const entry = client.send("you", "hi");
  now().ends(1006);
  mock.timers.tick(2000);
  now().opens({ ...WELCOME, inbox: { epoch: "e", seq: 9 } });
  const [frame] = now().sends("send_message");
  now().hears(ack(frame, 9));
  assert.equal(entry.state, "sent");
  const seen = [];
  client.on("message", ({ message_id: id }) => seen.push(id));
  now().hears(subscribed(7, 9));
  now().hears(message("m8", 8));
  assert.deepEqual(seen, ["m8"]);
});

// What a conversation shows ------------------------------------------------------------------------------------------

const FOLDS = JSON.parse(readFileSync(new URL("../unit/client/folds.json", import.meta.url), "utf8"));

for (const { case: name, messages, shown } of FOLDS) {
  test(`fold: ${name}`, () => {
    const plain = { edited: false, deleted: false, reactions: {} };
    const folded = fold(messages).map(({ message: { message_id: id }, reactions, ...rest }) => {
      const { content, edited, deleted } = rest;
      return { message_id: id, content, edited, deleted, reactions: Object.fromEntries(reactions) };
    });
    assert.deepEqual(folded, shown.map((one) => ({ ...plain, ...one })));
  });
}

// Groups and topics --------------------------------------------------------------------------------------------------

const GROUP = "group:g";
const inGroup = (id, seq, more = {}) => message(id, seq, { channel: GROUP, conversation: GROUP, ...more });
const change = (what, channel, seq, more = {}) => ({
  type: "membership", channel, epoch: "e", seq, prev: 0, change: what, message_id: `c${channel}${seq}`,
  group_id: "g", by: "you", user_ids: ["me"], sent_at: 1, ...more,
});

function heard(client, ...names) {
  const all = [];
  for (const name of names) client.on(name, (value) => all.push([name, value]));
  return all;
}

test("each channel goes on from its own cursor, the inbox first, and messages wait for their channel only", () => {
  const client = started();
  const seen = heard(client, "message");
  now().opens().hears(subscribed(4, 4, { channel: GROUP }));
  now().hears(inGroup("g5", 5));
  now().hears(message("m8", 8));
  now().ends(1006);
  mock.timers.tick(1000);
  now().opens();
  const [resume] = now().sends("resume");
  assert.deepEqual(Object.entries(resume.channels), [["user:me", { epoch: "e", seq: 8 }], [GROUP, { epoch: "e", seq: 5 }]]);
  now().hears(inGroup("g7", 7));
  now().hears(subscribed(8, 8, { id: "resume" }));
  now().hears(message("m9", 9));
  now().hears(subscribed(5, 7, { id: "resume", channel: GROUP }));
  for (const seq of [6, 7]) now().hears(inGroup(`g${seq}`, seq));
  assert.deepEqual(seen.map(([, { message_id: id }]) => id), ["g5", "m8", "m9", "g6", "g7"]);
});

test("cursors that were kept are used", () => {
  const cursors = { [GROUP]: { epoch: "g", seq: 3 }, "user:me": { epoch: "e", seq: 5 } };
  const client = new PushClient({ gateway: "ws://g.test/ws", token: "t", deviceId: "d", WebSocket: PaperSocket, cursors });
  client.start();
  now().opens();
  assert.equal(now().url.searchParams.get("resume"), "client");
  assert.deepEqual(Object.keys(now().sends("resume")[0].channels), ["user:me", GROUP]);
  assert.deepEqual(client.cursors, cursors);
});

test("who is added reads the group from there on, and who is removed does not", () => {
  const client = started();
  const all = heard(client, "membership", "message");
  now().opens().hears(change("added", "user:me", 8, { since: { epoch: "e", seq: 4 } }));
  assert.deepEqual(now().sends("subscribe").map(({ channel, since }) => [channel, since]), [[GROUP, { epoch: "e", seq: 4 }]]);
  now().hears(subscribed(4, 4, { channel: GROUP }));
  now().hears(subscribed(4, 4, { channel: GROUP, id: "subscribe" }));
  now().hears(change("added", GROUP, 5));
  now().hears(inGroup("g6", 6));
  now().hears(change("removed", GROUP, 7));
  now().hears(inGroup("g8", 8));
  assert.deepEqual(all.map(([name, { change: what, content }]) => what ?? content), ["added", "added", "g6", "removed"]);
  assert.equal(GROUP in client.cursors, false);
});

test("where the server begins by itself is no answer to where this device goes on", () => {
  const cursors = { "user:me": { epoch: "e", seq: 5 }, [GROUP]: { epoch: "e", seq: 5 } };
  const client = new PushClient({ gateway: "ws://g.test/ws", token: "t", deviceId: "d", WebSocket: PaperSocket, cursors });
  const seen = heard(client, "message");
  client.start();
  now().opens().hears(subscribed(9, 9, { channel: GROUP })); // the server has not heard the `resume` yet
  now().hears(inGroup("g10", 10));
  now().hears(subscribed(5, 10, { id: "resume", channel: GROUP }));
  for (const seq of [7, 9, 10]) now().hears(inGroup(`g${seq}`, seq));
  assert.deepEqual(seen.map(([, { message_id: id }]) => id), ["g7", "g9", "g10"]);
});

test("a group that the server joined too late is read from its beginning", () => {
  const client = started();
  const seen = heard(client, "message");
  const since = { epoch: "e", seq: 4 };
  now().opens().hears(subscribed(9, 9, { channel: GROUP }));
  now().hears(change("added", "user:me", 8, { since }));
  assert.deepEqual(now().sends("subscribe").map(({ channel, since: from }) => [channel, from]), [[GROUP, since]]);
  now().hears(inGroup("g10", 10));
  now().hears(subscribed(4, 10, { id: "subscribe", channel: GROUP }));
  for (const seq of [5, 10]) now().hears(inGroup(`g${seq}`, seq));
  assert.deepEqual(seen.map(([, { message_id: id }]) => id), ["g5", "g10"]);
});

test("a group that the server joined too late and that went on is a gap", () => {
  const client = started();
  const gaps = [];
  client.on("gap", (...gap) => gaps.push(gap));
  now().opens().hears(subscribed(9, 9, { channel: GROUP }));
  now().hears(inGroup("g10", 10));
  now().hears(change("added", "user:me", 8, { since: { epoch: "e", seq: 4 } }));
  assert.deepEqual(gaps, [["no_cursor", GROUP]]);
});

test("a topic is subscribed to, over a cut, and a refusal is told", async () => {
  const client = started();
  now().opens();
  const answer = client.subscribe("topic:t");
  const [{ id }] = now().sends("subscribe");
  now().hears({ type: "error", id, channel: "topic:t", code: "unavailable", message: "", retry_after_ms: 300 });
  mock.timers.tick(300);
  assert.equal(now().sends("subscribe").length, 2);
  now().ends(1006);
  mock.timers.tick(1000);
  now().opens();
  assert.equal(now().sends("subscribe").length, 1);
  now().hears(subscribed(3, 3, { channel: "topic:t" }));
  assert.equal((await answer).since, 3);
  assert.equal((await client.subscribe("topic:t")).seq, 3);
  const refused = client.subscribe("topic:secret");
  const { id: other } = now().sends("subscribe").at(-1);
  now().hears({ type: "error", id: other, channel: "topic:secret", code: "forbidden", message: "not yours" });
  await assert.rejects(refused, { code: "forbidden" });
  client.unsubscribe("topic:t");
  assert.equal(now().sends("unsubscribe").length, 1);
});

test("a group's message of somebody else with our dedup_id settles nothing", () => {
  const client = started();
  now().opens().hears(subscribed(4, 4, { channel: GROUP }));
  const entry = client.send(GROUP, "hi");
  assert.equal(now().sends("send_message")[0].channel, GROUP);
  now().hears(inGroup("g5", 5, { dedup_id: entry.dedupId }));
  assert.equal(entry.state, "pending");
});

test("edit, delete and react name the message and go where it went", () => {
  const client = started();
  now().opens();
  const about = inGroup("g5", 5);
  client.edit(about, "better");
  client.react(message("m9", 9), "👍");
  client.react(message("m9", 9), "👍", true);
  client.delete(about);
  const sent = now().sends("send_message").map(({ kind, ref, content, channel, recipient_id: to }) => [kind, ref, content, channel ?? to]);
  assert.deepEqual(sent, [
    ["edit", "g5", "better", GROUP],
    ["reaction", "m9", { emoji: "👍" }, "you"],
    ["reaction", "m9", { emoji: "👍", remove: true }, "you"],
    ["delete", "g5", null, GROUP],
  ]);
});

// Told now and then --------------------------------------------------------------------------------------------------

test("typing ends by itself after six seconds, and is said every three", () => {
  const client = started();
  const all = heard(client, "typing");
  now().opens();
  for (const state of ["start", "start"]) now().hears({ type: "typing", from: "you", state });
  mock.timers.tick(5999);
  assert.deepEqual(all.map(([, { state }]) => state), ["start"]);
  mock.timers.tick(1);
  assert.deepEqual(all.at(-1)[1], { from: "you", conversation: "you", state: "stop" });
  for (let second = 0; second < 4; second += 1) {
    client.typing(GROUP);
    mock.timers.tick(1000);
  }
  client.typing(GROUP, "stop");
  client.typing(GROUP, "stop");
  const said = now().sends("typing").map(({ channel, state }) => [channel, state]);
  assert.deepEqual(said, [[GROUP, "start"], [GROUP, "start"], [GROUP, "stop"]]);
});

test("read is told for the conversation, and again after a cut where its channel is read", () => {
  const client = started();
  now().opens().hears(message("m8", 8));
  client.read(message("m8", 8));
  client.read(message("m7", 7));
  mock.timers.tick(500);
  const told = [{ type: "read", channel: "user:me", seq: 8, conversation: "you" }];
  assert.deepEqual(now().sends("read"), told);
  now().ends(1006);
  mock.timers.tick(1000);
  now().opens();
  mock.timers.tick(500);
  assert.deepEqual(now().sends("read"), []);
  now().hears(subscribed(8, 8, { id: "resume" }));
  mock.timers.tick(500);
  assert.deepEqual(now().sends("read"), told);
});

test("receipts are passed on", () => {
  const client = started();
  const all = heard(client, "receipt");
  now().opens().hears({ type: "receipt", kind: "read", by: "you", conversation: "you", message_id: "m8", sent_at: 1 });
  assert.equal(all[0][1].message_id, "m8");
});

test("only so many sends wait on the wire, and the next ones go with the acks", () => {
  const client = started();
  now().opens();
  for (let number = 0; number < 70; number += 1) client.send("you", number);
  const wired = now().sends("send_message");
  assert.equal(wired.length, 64);
  now().hears(ack(wired[0], 8));
  assert.equal(now().sends("send_message").length, 65);
});

test("a token from a function is asked for before each connection, and again when it has expired", async () => {
  const tokens = ["first", "second"];
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  const client = new PushClient({
    gateway: "ws://g.test/ws", token: async () => tokens.shift(), deviceId: "d", WebSocket: PaperSocket, random: () => 0,
  });
  client.start();
  await settled();
  assert.equal(now().url.searchParams.get("token"), "first");
  now().opens().ends(4401);
  mock.timers.tick(500);
  await settled();
  assert.equal(now().url.searchParams.get("token"), "second");
  client.stop();
});

test("who is watched is watched again after a cut, and told only when it is news", () => {
  const client = started();
  const all = heard(client, "presence");
  client.watch(["you", "them"]);
  now().opens();
  assert.deepEqual(now().sends("watch"), [{ type: "watch", user_ids: ["you", "them"] }]);
  const online = { type: "presence", user_id: "you", status: "online", last_seen: null };
  now().hears(online);
  client.unwatch(["them", "nobody"]);
  assert.deepEqual(now().sends("unwatch"), [{ type: "unwatch", user_ids: ["them"] }]);
  now().hears({ ...online, user_id: "them" });
  now().ends(1006);
  mock.timers.tick(30_000);
  now().opens().hears(online);
  assert.deepEqual(now().sends("watch"), [{ type: "watch", user_ids: ["you"] }]);
  assert.deepEqual(all, [["presence", { userId: "you", status: "online", lastSeen: null }]]);
  now().hears({ ...online, status: "offline", last_seen: 9 });
  assert.deepEqual(all[1], ["presence", { userId: "you", status: "offline", lastSeen: 9 }]);
  assert.throws(() => client.watch(Array.from({ length: 500 }, (_, number) => `u${number}`)), RangeError);
});

test("a device that is away comes back as such, and what was refused for now is asked again", () => {
  const client = started();
  now().opens();
  client.setStatus("away");
  client.setStatus("away");
  assert.deepEqual(now().sends("status"), [{ type: "status", status: "away" }]);
  assert.equal(now().url.searchParams.get("status"), null);
  client.watch(["you"]);
  now().hears({ type: "error", code: "rate_limited", message: "too fast", retry_after_ms: 100 });
  mock.timers.tick(5_000);
  assert.equal(now().sends("watch").length, 2);
  now().ends(1006);
  mock.timers.tick(30_000);
  assert.equal(now().url.searchParams.get("status"), "away");
});
