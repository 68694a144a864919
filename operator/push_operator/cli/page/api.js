/** The platform's HTTP side: every failure becomes an ApiError whose message can be shown to a person. */

import { isChannel, randomId } from "./client.js";

const TIMEOUT_MS = 10_000;

export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status; // 0: no answer at all
    this.code = code;
  }
}

async function request(url, { method = "GET", token, body } = {}) {
  const headers = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    return await fetch(url, { method, headers, body: body && JSON.stringify(body), signal, cache: "no-store" });
  } catch {
    throw new ApiError(0, "unreachable", "The platform cannot be reached. Is it running?");
  }
}

async function call(url, options) {
  const response = await request(url, options);
  const answer = response.status === 204 ? {} : await response.json().catch(() => null);
  if (response.ok && answer !== null) return answer;
  const { code = "internal", message = `The platform answered with status ${response.status}.` } = answer?.error ?? {};
  throw new ApiError(response.status, code, sentence(message));
}

function sentence(text) {
  const full = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(full) ? full : `${full}.`;
}

function groupPath(groupId) {
  return `/groups/${encodeURIComponent(groupId)}`;
}

export class Api {
  #endpoints;

  constructor(endpoints) {
    this.#endpoints = endpoints;
  }

  static async load() {
    return new Api(await call("config.json"));
  }

  get gateway() {
    return this.#endpoints.gateway;
  }

  register(email, password, name) {
    const body = name ? { email, password, name } : { email, password };
    return call(`${this.#endpoints.auth}/auth/register`, { method: "POST", body });
  }

  login(email, password) {
    return call(`${this.#endpoints.auth}/auth/login`, { method: "POST", body: { email, password } });
  }

  /** The providers with which one can log in: their names and labels. */
  async providers() {
    return (await call(`${this.#endpoints.auth}/oauth`)).providers;
  }

  /** Where the browser goes to log in at a provider; it comes back to `returnTo`. */
  providerUrl(name, returnTo, challenge) {
    const query = new URLSearchParams({ return_to: returnTo, code_challenge: challenge });
    return `${this.#endpoints.auth}/oauth/${name}?${query}`;
  }

  /** Signs in with the code that came back. */
  exchange(code, verifier) {
    return call(`${this.#endpoints.auth}/auth/oauth`, { method: "POST", body: { code, code_verifier: verifier } });
  }

  /** "valid", "expired" or "unreachable": what a refused handshake cannot tell in a browser. */
  async checkToken(token) {
    try {
      await call(`${this.#endpoints.auth}/auth/me`, { token });
      return "valid";
    } catch (error) {
      return error.status === 401 ? "expired" : "unreachable";
    }
  }

  #message(token, path, options = {}) {
    return call(`${this.#endpoints.message}${path}`, { token, ...options });
  }

  /** One page of a conversation, newest first: {messages, next}. */
  history(token, conversation, before = null) {
    const query = new URLSearchParams({ limit: "50", ...(before === null ? {} : { before }) });
    const kind = isChannel(conversation) ? "channels" : "conversations";
    return this.#message(token, `/${kind}/${encodeURIComponent(conversation)}/messages?${query}`);
  }

  /** The conversations with the newest messages, each with what is unread in it. */
  async conversations(token) {
    return (await this.#message(token, "/conversations")).conversations;
  }

  async groups(token) {
    return (await this.#message(token, "/groups")).groups;
  }

  createGroup(token, name) {
    return this.#message(token, "/groups", { method: "POST", body: { name, dedup_id: randomId() } });
  }

  renameGroup(token, groupId, name) {
    return this.#message(token, groupPath(groupId), { method: "PATCH", body: { name } });
  }

  deleteGroup(token, groupId) {
    return this.#message(token, groupPath(groupId), { method: "DELETE" });
  }

  /** The first members, in the order of their ids: {members: [{user_id, role}], next}. */
  members(token, groupId) {
    return this.#message(token, `${groupPath(groupId)}/members?limit=200`);
  }

  addMember(token, groupId, userId) {
    return this.#message(token, `${groupPath(groupId)}/members`, { method: "POST", body: { user_ids: [userId] } });
  }

  /** One's own id: leaves the group. */
  removeMember(token, groupId, userId) {
    return this.#message(token, `${groupPath(groupId)}/members/${encodeURIComponent(userId)}`, { method: "DELETE" });
  }

  async blocks(token) {
    return (await this.#message(token, "/blocks")).user_ids;
  }

  block(token, userId, blocked) {
    return this.#message(token, `/blocks/${encodeURIComponent(userId)}`, { method: blocked ? "PUT" : "DELETE" });
  }

  /** The key with which a page subscribes to Web Push. */
  async webPushKey() {
    return (await call(`${this.#endpoints.push}/devices/webpush/key`)).key;
  }

  registerDevice(token, device) {
    const locale = navigator.language;
    const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
    const body = { platform: "webpush", locale, time_zone: timeZone, ...device };
    return call(`${this.#endpoints.push}/devices`, { method: "POST", token, body });
  }

  removeDevice(token, deviceId) {
    return call(`${this.#endpoints.push}/devices/${deviceId}`, { method: "DELETE", token });
  }

  async components() {
    return (await call("status.json")).components;
  }
}
