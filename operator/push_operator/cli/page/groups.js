/** The panel of a group: its name, who is in it, and what one may do about that. */

import { idFrom } from "./conversations.js";
import * as view from "./view.js";

const { $ } = view;
const MAY_CHANGE = new Set(["owner", "admin"]);

export function groupIdOf(channel) {
  return channel.slice("group:".length);
}

/** What happened to a group, in words. `nameOf` makes a name of a user's id; "You" for the reader. */
export function changeText({ change, by, user_ids: userIds = [], name, role }, nameOf) {
  const who = userIds.map(nameOf).join(", ");
  if (change === "renamed") return `${nameOf(by)} named the group “${name}”`;
  if (change === "deleted") return `${nameOf(by)} deleted the group`;
  if (change === "role") return `${who}: now ${role}`;
  if (change === "removed") return userIds.includes(by) ? `${who} left` : `${nameOf(by)} removed ${who}`;
  if (change === "added") return userIds.includes(by) ? `${who} made the group` : `${nameOf(by)} added ${who}`;
  return "The group has changed";
}

export class GroupPanel {
  #api;
  #token;
  #me;
  #nameOf;
  #channel = null;
  #members = [];
  #more = false;

  constructor(api, token, me, nameOf) {
    this.#api = api;
    this.#token = token;
    this.#me = me;
    this.#nameOf = nameOf;
  }

  get isOpen() {
    return this.#channel !== null;
  }

  async toggle(channel, name) {
    if (this.isOpen) return this.close();
    this.#channel = channel;
    $("group-name").value = name;
    $("group-panel").hidden = false;
    view.showProblem("group-problem", "");
    return this.refresh();
  }

  close() {
    this.#channel = null;
    this.#members = [];
    $("group-panel").hidden = true;
  }

  async refresh() {
    if (!this.isOpen) return;
    const channel = this.#channel;
    await this.#tell(async () => {
      const { members, next } = await this.#api.members(this.#token, groupIdOf(channel));
      if (channel !== this.#channel) return;
      this.#members = members;
      this.#more = next !== null && next !== undefined;
      this.#draw();
    });
  }

  #draw() {
    const role = this.#members.find(({ user_id: id }) => id === this.#me)?.role;
    const mayChange = MAY_CHANGE.has(role);
    const mayRemove = (member) => mayChange && member.user_id !== this.#me && member.role !== "owner";
    $("group-rename").hidden = $("group-add").hidden = !mayChange;
    $("group-leave").hidden = role === "owner";
    $("group-delete").hidden = role !== "owner";
    const remove = (id) => this.#remove(id);
    view.showMembers(this.#members, { nameOf: this.#nameOf, mayRemove, remove, more: this.#more });
  }

  rename(name) {
    return this.#change(() => this.#api.renameGroup(this.#token, groupIdOf(this.#channel), name));
  }

  /** True when it was done. */
  add(pasted) {
    const id = idFrom(pasted);
    if (id !== "") return this.#change(() => this.#api.addMember(this.#token, groupIdOf(this.#channel), id));
    view.showProblem("group-problem", "This is neither an id nor an invitation link.");
    return false;
  }

  #remove(userId) {
    return this.#change(() => this.#api.removeMember(this.#token, groupIdOf(this.#channel), userId));
  }

  async leave() {
    if (await this.#tell(() => this.#api.removeMember(this.#token, groupIdOf(this.#channel), this.#me))) this.close();
  }

  async delete() {
    if (await this.#tell(() => this.#api.deleteGroup(this.#token, groupIdOf(this.#channel)))) this.close();
  }

  async #change(work) {
    const done = await this.#tell(work);
    if (done) await this.refresh();
    return done;
  }

  /** Says in the panel what went wrong. */
  async #tell(work) {
    view.showProblem("group-problem", "");
    try {
      await work();
      return true;
    } catch (error) {
      view.showProblem("group-problem", error.message);
      return false;
    }
  }
}
