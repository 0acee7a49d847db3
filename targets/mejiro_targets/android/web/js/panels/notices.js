/** Show short messages over the picture, one for each name. */

import { find, make, setText } from "../dom.js";

/**
 * Show, change or (with an empty text) take away the message called `name`.
 * @param {string} name
 * @param {string} text
 * @param {{kind?: ""|"warn"|"bad", button?: string, press?: () => void}} [options]
 */
export function notice(name, text, { kind = "", button = "", press = () => {} } = {}) {
  const id = `notice-${name}`;
  let box = find(id);
  if (!text) {
    box?.remove();
    return;
  }
  if (!box) {
    box = make("div");
    box.id = id;
    box.append(make("p", ""));
    find("notices").append(box);
  }
  box.className = `toast ${kind}`;
  setText(box.querySelector("p"), text);
  box.querySelector("button")?.remove();
  if (button) {
    const made = make("button", button);
    made.type = "button";
    made.id = `${id}-button`;
    made.addEventListener("click", press);
    box.append(made);
  }
}
