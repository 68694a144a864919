/** The demo page: the way in, the way out, and the wires from buttons and keys to the chat. */

import { Api } from "./api.js";
import { Chat, deviceId, forgetDevice } from "./chat.js";
import { invited, readJson, writeJson } from "./conversations.js";
import { comeBack, leaveFor } from "./oauth.js";
import { canNotify, followNotifications, notifyMe } from "./notify.js";
import * as view from "./view.js";

const { $ } = view;
const SESSION_KEY = "push.session"; // tokens live in sessionStorage only: one window, one user
const NOTIFIED_KEY = "push.notified"; // whether this window has registered itself
const POLL_MS = 5_000;

let api;
let chat = null; // the Chat of the logged-in user

// Entrance -----------------------------------------------------------------------------------------------------------

function showEntrance(problem = "") {
  $("entrance").hidden = false;
  $("chat").hidden = true;
  $("entrance-invited").hidden = invited(location.search).id === "";
  view.showProblem("entrance-problem", problem);
  document.title = "PushCluster chat";
  chooseMode();
}

function chooseMode() {
  const form = $("entrance-form");
  const registering = form.elements.mode.value === "register";
  $("name-field").hidden = !registering;
  $("password-hint").hidden = !registering;
  form.elements.password.autocomplete = registering ? "new-password" : "current-password";
  $("entrance-submit").textContent = registering ? "Create account" : "Log in";
}

async function enter(event) {
  event.preventDefault();
  const { mode, email, password, name } = event.target.elements;
  $("entrance-submit").disabled = true;
  view.showProblem("entrance-problem", "");
  try {
    const registering = mode.value === "register";
    const answer = await (registering
      ? api.register(email.value.trim(), password.value, name.value.trim())
      : api.login(email.value.trim(), password.value));
    password.value = "";
    keepSession(answer);
    openChat();
  } catch (error) {
    view.showProblem("entrance-problem", error.message);
  } finally {
    $("entrance-submit").disabled = false;
  }
}

function keepSession(answer) {
  writeJson(sessionStorage, SESSION_KEY, { user: answer.user, token: answer.access_token });
}

/** A button for each provider; none where there are none. */
async function offerProviders() {
  const offered = await api.providers().catch(() => []); // with a password one can log in all the same
  const buttons = offered.map(({ name, label }) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "secondary";
    button.textContent = `Continue with ${label}`;
    button.addEventListener("click", () => leaveFor(api, name));
    return button;
  });
  $("entrance-providers").replaceChildren(...buttons);
  $("entrance-providers").hidden = buttons.length === 0;
}

function openChat() {
  const session = readJson(sessionStorage, SESSION_KEY, null);
  if (session === null) return showEntrance();
  $("entrance").hidden = true;
  $("chat").hidden = false;
  chat = new Chat(api, session, leave);
  return chat.start();
}

/** The next user of this window is another device, and this one hears of nothing any more. */
function endDevice() {
  const session = readJson(sessionStorage, SESSION_KEY, null);
  const notified = session !== null && sessionStorage.getItem(NOTIFIED_KEY);
  if (notified) api.removeDevice(session.token, deviceId()).catch(() => {}); // else it ends with its subscription
  sessionStorage.removeItem(NOTIFIED_KEY);
  forgetDevice();
}

function leave(problem = "") {
  chat?.stop();
  chat = null;
  view.showBanner("");
  if (!problem) history.replaceState(null, "", location.pathname); // the next user has other conversations
  endDevice();
  sessionStorage.removeItem(SESSION_KEY);
  if (problem) $("entrance-form").elements.mode.value = "login";
  showEntrance(problem);
}

// Wires --------------------------------------------------------------------------------------------------------------

/** Keeps the newest message in sight when the space for messages shrinks, as it does when a keyboard comes up. */
function stayAtEnd() {
  let following = true;
  $("scroll").addEventListener("scroll", () => (following = view.isAtEnd()));
  new ResizeObserver(() => following && view.scrollToEnd()).observe($("scroll"));
}

function submitDraft(event) {
  event.preventDefault();
  const draft = $("draft");
  if (draft.value.trim() === "") return;
  chat.send(draft.value.trim());
  draft.value = "";
  view.fitDraft();
  draft.focus();
}

function draftKey(event) {
  if (event.key === "Escape" && chat.isEditing) chat.edit(null);
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submitDraft(event);
}

function submitNew(event) {
  event.preventDefault();
  const problem = chat.openPasted($("new-id").value);
  view.showProblem("new-problem", problem);
  if (problem === "") $("new-id").value = "";
}

async function submitGroup(event) {
  event.preventDefault();
  const name = $("new-group-name").value.trim();
  const problem = name === "" ? "Give the group a name." : await chat.createGroup(name);
  view.showProblem("new-group-problem", problem);
  if (problem === "") $("new-group-name").value = "";
}

async function submitMember(event) {
  event.preventDefault();
  if (await chat.group.add($("group-user").value)) $("group-user").value = "";
}

function submitGroupName(event) {
  event.preventDefault();
  chat.group.rename($("group-name").value.trim());
}

function toggleRename() {
  const form = $("rename-form");
  form.hidden = !form.hidden;
  if (form.hidden) return;
  $("rename-name").value = chat.openName;
  $("rename-name").focus();
}

function submitRename(event) {
  event.preventDefault();
  chat.rename($("rename-name").value);
  toggleRename();
  $("draft").focus();
}

async function copy(event) {
  const button = event.currentTarget;
  const input = $(button.dataset.copy);
  input.select();
  const copied = await navigator.clipboard.writeText(input.value).then(() => true, () => document.execCommand("copy"));
  button.textContent = copied ? "Copied" : "Press Ctrl+C";
  view.announce(button.textContent);
  setTimeout(() => (button.textContent = button.dataset.label), 1_500);
}

async function notify() {
  const { token } = readJson(sessionStorage, SESSION_KEY, {});
  $("notify").disabled = true;
  sessionStorage.setItem(NOTIFIED_KEY, "yes"); // it may be registered even where the answer does not come
  view.showBanner(await notifyMe(api, token, deviceId()));
  $("notify").disabled = false;
}

function wire() {
  $("notify").hidden = !canNotify();
  $("notify").addEventListener("click", notify);
  followNotifications();
  $("entrance-form").addEventListener("submit", enter);
  $("entrance-form").addEventListener("change", chooseMode);
  $("logout").addEventListener("click", () => leave());
  $("banner-close").addEventListener("click", () => view.showBanner(""));
  $("new-form").addEventListener("submit", submitNew);
  $("new-group").addEventListener("submit", submitGroup);
  $("members").addEventListener("click", () => chat.toggleGroup());
  $("group-add").addEventListener("submit", submitMember);
  $("group-rename").addEventListener("submit", submitGroupName);
  $("group-leave").addEventListener("click", () => chat.group.leave());
  $("group-delete").addEventListener("click", () => chat.group.delete());
  $("block").addEventListener("click", () => chat.toggleBlock());
  $("composer").addEventListener("submit", submitDraft);
  $("draft").addEventListener("keydown", draftKey);
  $("draft").addEventListener("input", view.fitDraft);
  $("draft").addEventListener("input", () => chat.typing());
  $("editing-end").addEventListener("click", () => chat.edit(null));
  $("back").addEventListener("click", () => (location.hash = ""));
  $("rename").addEventListener("click", toggleRename);
  $("rename-form").addEventListener("submit", submitRename);
  $("rename-form").addEventListener("keydown", ({ key }) => key === "Escape" && toggleRename());
  $("older").addEventListener("click", () => chat.loadOlder());
  $("newer").addEventListener("click", () => view.scrollToEnd());
  $("scroll").addEventListener("scroll", () => chat?.looked());
  for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", copy);
  addEventListener("hashchange", () => chat?.followAddress());
  addEventListener("online", () => chat?.wake());
  addEventListener("offline", () => chat?.tick());
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && chat?.wake());
  setInterval(() => chat?.tick(), 1_000);
  setInterval(() => document.visibilityState === "visible" && chat?.poll(), POLL_MS);
}

async function main() {
  wire();
  stayAtEnd();
  try {
    api = await Api.load();
  } catch (error) {
    showEntrance(error.message);
    $("entrance-submit").disabled = true;
    return;
  }
  offerProviders();
  try {
    const answer = await comeBack(api);
    if (answer !== null) keepSession(answer);
  } catch (error) {
    showEntrance(error.message);
    return;
  }
  openChat();
}

main();
