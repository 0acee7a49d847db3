/** Open and close the two sheets; the picture goes on behind them. */

import { find } from "../dom.js";

const SHEETS = ["latency", "settings"];

/**
 * Make a sheet's buttons work: one opens and closes it, Escape closes, the focus goes in and back.
 * @param {(name: string, open: boolean) => void} onChange
 */
export function prepareSheets(onChange) {
  let opener = null;
  const set = (name, open) => {
    const sheet = find(name);
    if (sheet.hidden === !open) return;
    const inside =
      sheet.contains(document.activeElement) || document.activeElement === document.body;
    if (open) opener = document.activeElement;
    sheet.hidden = !open;
    find(`open-${name}`).setAttribute("aria-expanded", String(open));
    if (open) sheet.focus({ preventScroll: true });
    else if (inside)
      (opener?.checkVisibility?.() && opener !== document.body
        ? opener
        : find(`open-${name}`)
      ).focus();
    onChange(name, open);
  };
  const toggle = (name) => {
    for (const other of SHEETS) set(other, other === name && find(name).hidden);
  };
  for (const name of SHEETS) {
    find(`open-${name}`).addEventListener("click", () => toggle(name));
    find(`close-${name}`).addEventListener("click", () => set(name, false));
  }
  find("welcome-settings").addEventListener("click", () => toggle("settings"));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") SHEETS.forEach((name) => set(name, false));
  });
  return { toggle, closeAll: () => SHEETS.forEach((name) => set(name, false)) };
}
