// A push service and the browsers behind it, over TLS: what web-push-testing understands of a send (VAPID by
// jsonwebtoken, aes128gcm by http_ece) is kept as the page's service worker would get it.
// WEBPUSH_PORT; WEBPUSH_KEY and WEBPUSH_CERTIFICATE: files.
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { createRequire } from "node:module";

const { PushApiModel, SubscriptionExpiredError } = createRequire(import.meta.url)("web-push-testing/src/PushApiModel.js");
const port = Number(process.env.WEBPUSH_PORT);
const model = new PushApiModel();
model.notifyUrl = `https://127.0.0.1:${port}/notify/`;
const received = []; // {client, headers, text, bytes}
let ordered = []; // {status, headers}: what the next sends are answered

async function body(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts);
}

async function notify(client, request) {
  const raw = await body(request);
  const order = ordered.shift();
  if (order) return [order.status, { error: "as ordered" }, order.headers];
  const { headers } = request;
  const told = { encoding: headers["content-encoding"], authorization: headers.authorization, ttl: headers.ttl };
  try {
    await model.handleNotification(client, told, raw);
  } catch (error) {
    if (error instanceof SubscriptionExpiredError) return [410, { error: error.message }];
    return [error instanceof RangeError && !(client in model.subscriptions) ? 404 : 400, { error: error.message }];
  }
  received.push({ client, headers, text: model.messages[client].at(-1), bytes: raw.length });
  return [201, {}, { Location: `https://127.0.0.1:${port}/message/${received.length}` }];
}

const routes = {
  "GET /": async () => [200, {}],
  "GET /test/received": async () => [200, received],
  "PUT /test/answers": async (_, request) => ((ordered = JSON.parse(await body(request))), [204, null]),
  "POST /test/subscriptions": async (_, request) => [200, await model.subscribe(JSON.parse(await body(request)))],
  "POST /test/expire": async (client) => (model.expireSubscription(client), [204, null]),
  "POST /notify": notify,
};

async function answer(request, response) {
  const [, first, ...rest] = request.url.split("/");
  const fixed = first === "notify" || rest[0] === "expire" ? rest.pop() : undefined;
  const route = routes[`${request.method} /${[first, ...rest].join("/")}`];
  const [status, told, headers = {}] = route ? await route(fixed, request) : [404, { error: "no such thing" }];
  response.writeHead(status, headers).end(told === null ? undefined : JSON.stringify(told));
}

const tls = { key: readFileSync(process.env.WEBPUSH_KEY), cert: readFileSync(process.env.WEBPUSH_CERTIFICATE) };
createServer(tls, (request, response) => {
  answer(request, response).catch((error) => response.writeHead(500).end(String(error)));
}).listen(port, "127.0.0.1");
