/** Open and close the two sheets; the picture goes on behind them. */

import { find } from "../dom.js";

const SHEETS = ["latency", "settings"];

/**
 * Make a sheet's buttons work: one opens and closes it, Escape closes, the focus goes in and back.
 * @param {(name: string, open: boolean) => void} onChange
 */
export function prepareSheets(onChange) {
  let opener = null;
  let watcher = null;
  const set = (name, open) => {
    const sheet = find(name);
    if (sheet.hidden === !open) return;
    const focused = document.activeElement;
    if (open) opener = focused;
    sheet.hidden = !open;
    find(`open-${name}`).setAttribute("aria-expanded", String(open));
    watcher?.destroy();
    watcher = open ? watchClosing(() => set(name, false)) : null;
    if (open) sheet.focus({ preventScroll: true });
    else if (sheet.contains(focused) || focused === document.body) focusBack(opener, name);
    onChange(name, open);
  };
  const closeAll = () => SHEETS.forEach((name) => set(name, false));
  const toggle = (name) => {
    const open = find(name).hidden;
    closeAll();
    set(name, open);
  };
  for (const name of SHEETS) {
    find(`open-${name}`).addEventListener("click", () => toggle(name));
    find(`close-${name}`).addEventListener("click", () => set(name, false));
  }
  find("welcome-settings").addEventListener("click", () => toggle("settings"));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") closeAll();
  });
  return { toggle, closeAll };
}

/** Give the focus to what opened a sheet, or, where that is gone, to the button that does. */
function focusBack(opener, name) {
  const there = opener !== document.body && opener?.checkVisibility?.();
  (there ? opener : find(`open-${name}`)).focus();
}

/** Let Android's back gesture close what is open, where browsers tell of it. */
function watchClosing(close) {
  if (!("CloseWatcher" in window)) return null;
  const watcher = new CloseWatcher();
  watcher.onclose = close;
  return watcher;
}
