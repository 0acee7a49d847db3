/** Fetch files of a site, and refuse what is not as site.json says. */

import { SiteError } from "./errors.js";

/**
 * Return a file's bytes, which must have the size and, where the browser can hash, the SHA-256
 * that the site states.
 * @param {URL} url
 * @param {{size?: number, sha256?: string, onProgress?: (done: number, total: number) => void}}
 *   expected
 */
export async function fetchBytes(url, { size, sha256, onProgress = () => {} } = {}) {
  let response;
  try {
    response = await fetch(url);
  } catch (error) {
    throw new SiteError("fetch", `${url.pathname} cannot be fetched: ${error.message}`);
  }
  if (!response.ok) {
    throw new SiteError("fetch", `${url.pathname} cannot be fetched: HTTP ${response.status}`);
  }
  const bytes = await read(response, size, onProgress, url);
  if (size !== undefined && bytes.length !== size) {
    throw new SiteError(
      "altered",
      `${url.pathname} has ${bytes.length} bytes, the site says ${size}; load the page again`,
    );
  }
  if (sha256 && crypto.subtle && (await hexOfHash(bytes)) !== sha256) {
    throw new SiteError("altered", `${url.pathname} has been altered; load the page again`);
  }
  return bytes;
}

/** Read a response's body piece by piece; nothing grows beyond the size that is expected. */
async function read(response, size, onProgress, url) {
  if (size === undefined) return new Uint8Array(await response.arrayBuffer());
  const bytes = new Uint8Array(size);
  const reader = response.body.getReader();
  let done = 0;
  onProgress(0, size);
  for (;;) {
    const piece = await reader.read();
    if (piece.done) break;
    if (done + piece.value.length > size) {
      await reader.cancel();
      throw new SiteError("altered", `${url.pathname} has more bytes than the site says`);
    }
    bytes.set(piece.value, done);
    done += piece.value.length;
    onProgress(done, size);
  }
  return bytes.subarray(0, done);
}

async function hexOfHash(bytes) {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
