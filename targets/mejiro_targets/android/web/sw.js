"use strict";
// Keeps one version of the site for use without a network. What is kept was checked against the
// sha256 that site.json states. A new version is fetched beside the old one, which stays until the
// new one is whole. Engines and models are kept when they are asked for: of the engine's variants
// a device uses one.

const VERSION = new URL(self.location.href).searchParams.get("v") ?? "";
const SCOPE = self.registration.scope;
const PREFIX = `mejiro ${SCOPE} `;
const CACHE = PREFIX + VERSION;
const LAZY = ["engine/", "model/"];
const AT_ONCE = 4;

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));
self.addEventListener("fetch", (event) => {
  const path = pathOf(event.request);
  if (path !== null) event.respondWith(answer(event.request, path));
});
self.addEventListener("message", (event) => {
  if (event.data?.kind === "activate") self.skipWaiting();
  if (event.data?.kind === "complete") event.waitUntil(complete(event.ports[0]));
});

/** Return what a request asks of this site; null if it is none of ours. */
function pathOf(request) {
  const url = new URL(request.url);
  if (request.method !== "GET" || !url.href.startsWith(SCOPE) || url.searchParams.has("fresh"))
    return null;
  const path = decodeURIComponent(url.href.split(/[?#]/)[0].slice(SCOPE.length));
  return path.startsWith("api/") || path === "sw.js" ? null : path || "index.html";
}

async function install() {
  const fresh = await fetch(`${SCOPE}site.json`, { cache: "no-store" });
  if (!fresh.ok) throw new Error(`site.json: ${fresh.status}`);
  const copy = fresh.clone();
  const site = await fresh.json();
  if (site.version !== VERSION) throw new Error(`the host has ${site.version}, not ${VERSION}`);
  await caches.delete(CACHE);
  const cache = await caches.open(CACHE);
  const old = await present();
  await inTurns(wanted(site, old), (path) => keep({ cache, site, path, old }));
  await cache.put(`${SCOPE}site.json`, copy);
  // The first one is of use at once; a later one waits until the page asks for it.
  if (!self.registration.active) await self.skipWaiting();
}

/** Return the version that is in use: its cache, its list and what it holds; null at first. */
async function present() {
  const names = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== CACHE);
  for (const name of names.reverse()) {
    const cache = await caches.open(name);
    const list = await cache.match(`${SCOPE}site.json`);
    if (list) {
      const held = (await cache.keys()).map(({ url }) =>
        decodeURIComponent(url.slice(SCOPE.length)),
      );
      return { cache, files: (await list.json()).files, held: new Set(held) };
    }
  }
  return null;
}

/** All but engines and models; of those, what the present version uses. */
function wanted(site, old) {
  const paths = Object.keys(site.files).filter((path) => path !== "sw.js");
  const eager = paths.filter((path) => !LAZY.some((start) => path.startsWith(start)));
  const lazy = LAZY.flatMap((start) => {
    const own = paths.filter((path) => path.startsWith(start));
    const used = own.filter((path) => old?.held.has(path));
    // Where a new engine has other names it cannot be told which one will be used: take all.
    const before = [...(old?.held ?? [])].some((path) => path.startsWith(start));
    return before && !used.length ? own : used;
  });
  return [...eager, ...lazy];
}

async function inTurns(paths, act) {
  const left = [...paths];
  const worker = async () => {
    while (left.length) await act(left.shift());
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** Put a file into the cache, from the old version if it is the same; throws if it is damaged. */
async function keep({ cache, site, path, old = null }) {
  const { sha256 } = site.files[path];
  if (old?.files[path]?.sha256 === sha256) {
    const same = await old.cache.match(SCOPE + path);
    if (same) return cache.put(SCOPE + path, same);
  }
  const { response } = await fetched(path, sha256);
  return cache.put(SCOPE + path, response);
}

async function fetched(path, sha256) {
  const answered = await fetch(SCOPE + path, { cache: "no-cache" });
  if (!answered.ok) throw new Error(`${path}: ${answered.status}`);
  const bytes = await answered.arrayBuffer();
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const found = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (found !== sha256) throw new Error(`${path} is not as site.json says`);
  const headers = new Headers({ "Content-Length": String(bytes.byteLength) });
  const type = answered.headers.get("Content-Type");
  if (type) headers.set("Content-Type", type);
  return { response: new Response(bytes, { headers }) };
}

async function activate() {
  for (const name of await caches.keys()) {
    if (name.startsWith(PREFIX) && name !== CACHE) await caches.delete(name);
  }
  await self.clients.claim();
}

async function listed(cache) {
  const list = await cache.match(`${SCOPE}site.json`);
  return list ? list.json() : null;
}

async function answer(request, path) {
  const cache = await caches.open(CACHE);
  if (new URL(request.url).searchParams.has("token")) {
    // A host takes the token once, for a cookie; without the host, what is kept needs neither.
    try {
      return await fetch(request);
    } catch {
      /* as without a token */
    }
  }
  const kept = await cache.match(SCOPE + path);
  if (kept) return isolated(kept);
  const site = await listed(cache);
  const file = site?.files[path];
  if (!file) return fetch(request);
  try {
    const { response } = await fetched(path, file.sha256);
    await cache.put(SCOPE + path, response.clone());
    return isolated(response);
  } catch (error) {
    return new Response(error.message, { status: 504, statusText: "not to be had" });
  }
}

/** Add the headers that make a page cross-origin isolated, for hosts that send none. */
function isolated(response) {
  const headers = new Headers(response.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  headers.set("Cross-Origin-Resource-Policy", "same-origin");
  headers.set("X-Content-Type-Options", "nosniff");
  return new Response(response.body, {
    status: response.status,
    statusText: response.statusText,
    headers,
  });
}

/** Fetch what is missing of what every device needs, and tell whether all is there. */
async function complete(port) {
  let whole = false;
  try {
    const cache = await caches.open(CACHE);
    const site = await listed(cache);
    const held = new Set(
      (await cache.keys()).map(({ url }) => decodeURIComponent(url.slice(SCOPE.length))),
    );
    const missing = wanted(site, { held }).filter((path) => !held.has(path));
    await inTurns(missing, (path) => keep({ cache, site, path }));
    whole = LAZY.every((start) => [...held].some((path) => path.startsWith(start)));
  } catch {
    /* the next visit tries again */
  }
  port.postMessage({ whole });
}
