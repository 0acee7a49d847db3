/**
 * Open a model in the engine that its site names.
 *
 * A backend has `info` (what is truly in use), `run(tensors)`, which takes an array for each input
 * and resolves to the outputs as typed arrays, both in the order of site.json, and `memoryBytes()`.
 */

import { SiteError } from "../errors.js";

/** Engine of site.json -> the module that opens it. */
const ENGINES = { "litert.js": "./litert.js", "onnxruntime-web": "./onnxruntime.js" };

/**
 * @typedef {{backend: "wasm"|"webgpu", threads: number|"auto", variant?: string,
 *   allowFallback: boolean}} Request `variant` "compat" does without what newer browsers have
 * @param {{base: string, entry: object, request: Request, bytes: Promise<Uint8Array>,
 *   tell: (stage: string, done: number, total: number) => void}} options
 */
export async function openBackend(options) {
  const module = ENGINES[options.entry.engine];
  if (!module) {
    throw new SiteError("engine", `this page knows no engine '${options.entry.engine}'`);
  }
  const { open } = await import(module);
  return open(options);
}

/**
 * Return how many threads to use, and why they are fewer than was asked for, or null.
 *
 * Half of the processors at most: the page, the camera and the system want the others.
 * @param {number|"auto"} wanted
 * @param {string} obstacle why more than one thread cannot be had, or ""
 * @param {boolean} allowFallback
 */
export function chooseThreads(wanted, obstacle, allowFallback) {
  if (wanted === "auto") {
    const half = Math.floor((navigator.hardwareConcurrency || 1) / 2);
    return { threads: obstacle ? 1 : Math.min(4, Math.max(1, half)), fallback: null };
  }
  if (!Number.isInteger(wanted) || wanted < 1 || wanted > 16) {
    throw new SiteError("threads", `threads must be 1 to 16 or "auto", found ${wanted}`);
  }
  if (wanted === 1 || !obstacle) return { threads: wanted, fallback: null };
  if (!allowFallback) {
    throw new SiteError("threads", `${wanted} threads cannot be had: ${obstacle}`);
  }
  return { threads: 1, fallback: `one thread: ${obstacle}` };
}

/** Say what stands against threads on this page, or "". */
export function obstacleToThreads() {
  if (!self.crossOriginIsolated) {
    return "the page is not cross-origin isolated; serve it with COOP and COEP headers";
  }
  return "";
}

/** Describe what was asked for, as reports say it. */
export function requested({ backend, threads }) {
  return `${backend}, threads ${threads}`;
}
