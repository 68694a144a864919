/**
 * Two users talk, from Node: first with nothing but a WebSocket, then with the client of the demo page.
 * Standard input is {"gateway", "alice": {"id", "token"}, "bob": {"id", "token"}}; every step prints one JSON line.
 * Exit code 0 when all of it came true.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { PushClient, randomId } from "../../operator/push_operator/cli/page/client.js";

const PATIENCE_MS = 10_000;
const { gateway, alice, bob } = JSON.parse(readFileSync(0, "utf8"));

function told(step, facts) {
  console.log(JSON.stringify({ step, ...facts }));
}

/** Everything a plain socket hears, in order, to be awaited one by one. */
function frames(socket) {
  const waiting = [];
  const kept = [];
  socket.onmessage = ({ data }) => {
    const frame = JSON.parse(data);
    const next = waiting.shift();
    if (next) next(frame);
    else kept.push(frame);
  };
  return () => (kept.length ? Promise.resolve(kept.shift()) : new Promise((resolve) => waiting.push(resolve)));
}

async function bareSockets() {
  const fromAlice = new WebSocket(`${gateway}?token=${alice.token}`);
  const toBob = new WebSocket(`${gateway}?token=${bob.token}`);
  const aliceHears = frames(fromAlice);
  const bobHears = frames(toBob);
  assert.equal((await aliceHears()).user_id, alice.id);
  assert.equal((await bobHears()).user_id, bob.id);
  fromAlice.send(JSON.stringify({ type: "send_message", recipient_id: bob.id, content: "Hello!" }));
  const ack = await aliceHears();
  const message = await bobHears();
  told("bare", { ack, message });
  assert.equal(ack.type, "ack");
  assert.equal(message.type, "message");
  assert.equal(message.content, "Hello!");
  assert.equal(message.from, alice.id);
  assert.equal(message.message_id, ack.message_id);
  fromAlice.close();
  toBob.close();
}

function client({ token }) {
  return new PushClient({ gateway, token, deviceId: randomId(), WebSocket });
}

function once(source, name, fits = () => true) {
  return new Promise((resolve) => {
    const off = source.on(name, (value) => {
      if (!fits(value)) return;
      off();
      resolve(value);
    });
  });
}

async function thePagesClient() {
  const [a, b] = [client(alice), client(bob)];
  const received = [];
  b.on("message", (frame) => received.push(frame));
  const welcomes = Promise.all([once(a, "welcome"), once(b, "welcome")]);
  a.start();
  b.start();
  await welcomes;
  const contents = ["one", { two: [2, null] }, "drei — 三 👋"];
  const last = once(b, "message", ({ content }) => content === contents.at(-1));
  const entries = contents.map((content) => a.send(bob.id, content));
  const settled = Promise.all(entries.map((entry) => once(a, "send", (one) => one === entry && one.state === "sent")));
  await Promise.all([last, settled]);
  told("client", { received });
  assert.deepEqual(received.map(({ content }) => content), contents);
  assert.deepEqual(received.map(({ message_id: id }) => id), entries.map(({ messageId }) => messageId));
  assert.equal(a.unsettled.length, 0);
  a.stop();
  b.stop();
}

const deadline = setTimeout(() => {
  told("failed", { reason: `not within ${PATIENCE_MS} ms` });
  process.exit(1);
}, PATIENCE_MS);
try {
  await bareSockets();
  await thePagesClient();
  told("done", {});
} catch (error) {
  told("failed", { reason: String(error) });
  process.exitCode = 1;
} finally {
  clearTimeout(deadline);
}
