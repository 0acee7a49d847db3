/** Read what the page's address asks for; what it cannot mean is left out. */

import { CHOICES } from "./memory.js";

const SOURCES = ["camera", "golden", "file"];
const MAX_THREADS = 64;
const MAX_FRAMES = 100000;

/**
 * @typedef {{source: string|null, backend: string|null, threads: number|"auto"|null,
 *   lang: string|null, auto: boolean, frames: number}} Parameters
 * @param {string} search as `location.search`
 * @returns {Parameters}
 */
export function readParameters(search) {
  const given = new URLSearchParams(search);
  return {
    source: oneOf(given.get("source"), SOURCES),
    backend: oneOf(given.get("backend"), CHOICES.backend),
    threads: given.get("threads") === "auto" ? "auto" : whole(given.get("threads"), MAX_THREADS),
    lang: given.get("lang"),
    auto: given.get("report") === "auto",
    frames: whole(given.get("frames"), MAX_FRAMES) ?? 300,
  };
}

function oneOf(value, known) {
  return known.includes(value) ? value : null;
}

function whole(text, most) {
  return /^[0-9]{1,6}$/.test(text ?? "") && Number(text) >= 1 ? Math.min(most, Number(text)) : null;
}
