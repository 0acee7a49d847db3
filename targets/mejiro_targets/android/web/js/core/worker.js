/**
 * The worker that owns an engine. It is a classic one because LiteRT.js loads its WebAssembly with
 * importScripts, which module workers lack; all else comes in as modules.
 */

const arrived = import("./session.js").then(({ Session }) => new Session(self));

self.onmessage = async ({ data }) => {
  try {
    const session = await arrived;
    await session.answer(data);
  } catch (error) {
    self.postMessage({ kind: "error", code: "load", message: String(error?.message ?? error) });
  }
};
