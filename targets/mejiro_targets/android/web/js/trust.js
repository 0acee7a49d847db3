/** Verify a model once for each version of the site and each way to run it, and remember it. */

import { recall, remember } from "./memory.js";

const KEPT = 8;

function keyOf(site, model) {
  const { info, card } = model;
  return [
    site.version,
    card.sha256,
    info.engine,
    info.version,
    info.backend,
    info.variant,
    navigator.userAgent,
  ].join("|");
}

/**
 * Return what was found when this model was verified in this browser and passed; null if never.
 * @param {object} site
 * @param {object} model
 */
export function rememberedVerification(site, model) {
  const kept = recall("verified");
  const key = keyOf(site, model);
  const found = Array.isArray(kept) ? kept.find((one) => one?.key === key) : null;
  return found?.verification?.passed === true ? found.verification : null;
}

/** Keep a verification that passed, and forget one that failed. */
export function rememberVerification(site, model, verification) {
  const key = keyOf(site, model);
  const kept = recall("verified");
  const others = (Array.isArray(kept) ? kept : []).filter((one) => one?.key !== key);
  const added = verification.passed ? [{ key, verification }] : [];
  remember("verified", [...added, ...others].slice(0, KEPT));
}
