/** Open and close the two sheets; the picture goes on behind them. */

import { find } from "../dom.js";

const SHEETS = ["latency", "settings"];

/**
 * Make a sheet's buttons work: one opens and closes it, Escape closes, the focus goes in and back.
 * @param {(name: string, open: boolean) => void} onChange
 */
export function prepareSheets(onChange) {
  const set = (name, open) => {
    const sheet = find(name);
    const opener = find(`open-${name}`);
    if (sheet.hidden === !open) return;
    sheet.hidden = !open;
    opener.setAttribute("aria-expanded", String(open));
    if (open) sheet.focus({ preventScroll: true });
    else if (sheet.contains(document.activeElement) || document.activeElement === document.body) opener.focus();
    onChange(name, open);
  };
  const toggle = (name) => {
    for (const other of SHEETS) set(other, other === name && find(name).hidden);
  };
  for (const name of SHEETS) {
    find(`open-${name}`).addEventListener("click", () => toggle(name));
    find(`close-${name}`).addEventListener("click", () => set(name, false));
  }
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") SHEETS.forEach((name) => set(name, false));
  });
  return { toggle, closeAll: () => SHEETS.forEach((name) => set(name, false)) };
}
