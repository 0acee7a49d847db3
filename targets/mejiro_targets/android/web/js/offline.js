/** Keep the site for use without a network, and take a new version only when it is whole. */

const CONTROL_MS = 3000;
const INSTALL_MS = 120000;
const TRIED = "mejiro.isolating";

/**
 * Register the service worker and wait until it answers for this page, so that what is loaded
 * next is kept. Without service workers (an app's WebView, a plain http address) nothing happens.
 * @param {object} site
 * @returns {Promise<ServiceWorkerRegistration|null>}
 */
export async function prepareOffline(site) {
  if (!("serviceWorker" in navigator)) return null;
  try {
    const registration = await register(site.base, site.version);
    if (!navigator.serviceWorker.controller) await controlled(registration);
    isolate();
    return registration;
  } catch {
    return null; // a host or a browser that has none of it; the page works all the same
  }
}

function register(base, version) {
  const url = new URL("sw.js", base);
  url.searchParams.set("v", version);
  return navigator.serviceWorker.register(url, { scope: base, updateViaCache: "none" });
}

function controlled(registration) {
  if (registration.active && !registration.installing) return Promise.resolve();
  return new Promise((resolve) => {
    navigator.serviceWorker.addEventListener("controllerchange", resolve, { once: true });
    const worker = registration.installing ?? registration.waiting;
    worker?.addEventListener("statechange", () => {
      if (worker.state === "redundant") resolve();
    });
    setTimeout(resolve, CONTROL_MS);
  });
}

/** On a host that sends no COOP and COEP, load once more: the service worker then adds them. */
function isolate() {
  if (window.crossOriginIsolated || !navigator.serviceWorker.controller) return;
  try {
    if (sessionStorage.getItem(TRIED)) return;
    sessionStorage.setItem(TRIED, "1");
  } catch {
    return; // without a memory it would load for ever
  }
  location.reload();
  throw new Error("loading again");
}

/**
 * Ask the service worker to fetch what is still missing; resolves to whether all is kept.
 * @returns {Promise<boolean>}
 */
export function keepWhole() {
  const worker = navigator.serviceWorker?.controller;
  if (!worker) return Promise.resolve(false);
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = ({ data }) => resolve(data.whole === true);
    worker.postMessage({ kind: "complete" }, [port2]);
    setTimeout(resolve, INSTALL_MS, false);
  });
}

/**
 * Look whether the host has another version, and fetch it beside the present one.
 * @param {object} site
 * @param {ServiceWorkerRegistration} registration
 * @returns {Promise<(() => void)|null>} loads the new version, which is whole; null without one
 */
export async function findUpdate(site, registration) {
  let version;
  try {
    const url = new URL("site.json", site.base);
    url.searchParams.set("fresh", String(Date.now()));
    const answer = await fetch(url, { cache: "no-store" });
    if (!answer.ok) return null;
    ({ version } = await answer.json());
  } catch {
    return null; // no network, no news
  }
  if (version === site.version) return null;
  try {
    const fresh = await register(site.base, version);
    const worker = await installed(fresh);
    return worker && (() => activate(worker));
  } catch {
    return null; // it came broken or not at all; the present one stays
  }
}

function installed(registration) {
  if (registration.waiting) return Promise.resolve(registration.waiting);
  const worker = registration.installing;
  if (!worker) return Promise.resolve(null);
  return new Promise((resolve) => {
    worker.addEventListener("statechange", () => {
      if (worker.state === "installed") resolve(worker);
      else if (worker.state === "redundant") resolve(null);
    });
    setTimeout(resolve, INSTALL_MS, null);
  });
}

function activate(worker) {
  navigator.serviceWorker.addEventListener("controllerchange", () => location.reload(), {
    once: true,
  });
  worker.postMessage({ kind: "activate" });
}
