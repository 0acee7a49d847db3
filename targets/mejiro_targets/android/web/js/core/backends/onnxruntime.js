/** Run an .onnx file with onnxruntime-web, in WebAssembly. */

import { SiteError } from "../errors.js";
import { chooseThreads, obstacleToThreads, requested } from "./open.js";

const FOLDER = "engine/onnxruntime/";

/** See `openBackend`. */
export async function open({ base, entry, request, bytes, tell }) {
  const choice = choose(request);
  const folder = new URL(FOLDER, base).href;
  tell("engine", 0, 1);
  const ort = await import(`${folder}ort.wasm.min.mjs`);
  ort.env.logLevel = "error";
  ort.env.wasm.numThreads = choice.threads;
  ort.env.wasm.wasmPaths = {
    mjs: `${folder}ort-wasm-simd-threaded.mjs`,
    wasm: `${folder}ort-wasm-simd-threaded.wasm`,
  };
  tell("engine", 1, 1);
  const file = await bytes;
  tell("compile", 0, 1);
  const session = await ort.InferenceSession.create(file, { executionProviders: ["wasm"] });
  tell("compile", 1, 1);
  return new OnnxBackend({ ort, session, entry, choice, request });
}

function choose(request) {
  let fallback = null;
  if (request.backend !== "wasm") {
    const reason = "this page runs .onnx files in wasm alone; bundle a .tflite file for WebGPU";
    if (!request.allowFallback) throw new SiteError("webgpu", reason);
    fallback = reason;
  }
  const chosen = chooseThreads(request.threads, obstacleToThreads(), request.allowFallback);
  return {
    backend: "wasm",
    variant: chosen.threads > 1 ? "threaded" : "simd",
    threads: chosen.threads,
    fallback: fallback ?? chosen.fallback,
  };
}

/** Run one session. */
class OnnxBackend {
  constructor({ ort, session, entry, choice, request }) {
    this._ort = ort;
    this._session = session;
    this._inputs = entry.inputs;
    this._names = entry.outputs.map((output) => output.name);
    const known = [...session.inputNames, ...session.outputNames];
    const wanted = [...this._names, ...this._inputs.map((input) => input.name)];
    if (!wanted.every((name) => known.includes(name))) {
      throw new SiteError("model", `${entry.file} does not have the inputs or outputs of the site`);
    }
    this.info = {
      engine: "onnxruntime-web",
      version: entry.engine_version,
      ...choice,
      requested: requested(request),
    };
  }

  /** @param {(Uint8Array|Int8Array|Int32Array|Float32Array)[]} tensors */
  async run(tensors) {
    const feeds = {};
    this._inputs.forEach(({ name, dtype, shape }, place) => {
      feeds[name] = new this._ort.Tensor(dtype, tensors[place], shape);
    });
    const made = await this._session.run(feeds);
    return this._names.map((output) => plain(made[output].data));
  }

  /** onnxruntime-web does not show its memory. */
  memoryBytes() {
    return null;
  }
}

/** Return whole numbers of 64 bits, which are places or counts here, as 32-bit ones. */
function plain(values) {
  return values instanceof BigInt64Array ? Int32Array.from(values, Number) : values;
}
