/** What can be done with a message: react to it, edit it, delete it. */

import { $ } from "./view.js";

const EMOJIS = ["👍", "❤️", "😂", "😮", "😢", "🎉"];
const GAP_PX = 4;

/** `act` gets {react, edit, delete}, each a function of the line that the menu was opened for. */
export class MessageMenu {
  #line = null;
  #act;

  constructor(act) {
    this.#act = act;
    $("menu-emojis").replaceChildren(...EMOJIS.map((emoji) => this.#emoji(emoji)));
    $("menu-edit").onclick = () => this.#run((line) => this.#act.edit(line));
    $("menu-delete").onclick = () => this.#run((line) => this.#act.delete(line));
  }

  #emoji(emoji) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = emoji;
    button.setAttribute("aria-label", `React with ${emoji}`);
    button.onclick = () => this.#run((line) => this.#act.react(line, emoji));
    return button;
  }

  #run(work) {
    const line = this.#line;
    $("message-menu").hidePopover();
    work(line);
  }

  /** Beside the button that opens it, inside the window. */
  open(line, button) {
    this.#line = line;
    const menu = $("message-menu");
    $("menu-edit").hidden = !line.mine || line.formatted;
    $("menu-delete").hidden = !line.mine;
    menu.showPopover();
    const at = button.getBoundingClientRect();
    const left = Math.min(at.left, innerWidth - menu.offsetWidth - 2 * GAP_PX);
    const below = at.bottom + GAP_PX + menu.offsetHeight < innerHeight;
    menu.style.left = `${Math.max(GAP_PX, left)}px`;
    menu.style.top = `${below ? at.bottom + GAP_PX : at.top - GAP_PX - menu.offsetHeight}px`;
  }
}
