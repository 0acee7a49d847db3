/** Run a .tflite file with LiteRT.js. */

import { SiteError } from "../errors.js";
import { chooseThreads, obstacleToThreads, requested } from "./open.js";

const FOLDER = "engine/litert/";
const ARRAYS = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array };

/**
 * @typedef {{backend: "wasm"|"webgpu", variant: string, threads: number, fallback: string|null}}
 *   Choice
 */

/**
 * Return what of LiteRT.js to load for a request; SiteError for what cannot be had here.
 * @param {import("./open.js").Request} request
 * @param {boolean} relaxed whether the browser has relaxed SIMD
 * @returns {Promise<Choice>}
 */
async function choose(request, relaxed) {
  let fallback = null;
  if (request.backend === "webgpu") {
    const obstacle = await obstacleToWebGpu(relaxed);
    if (!obstacle) return { backend: "webgpu", variant: "jspi", threads: 1, fallback };
    if (!request.allowFallback) throw new SiteError("webgpu", `no WebGPU: ${obstacle}`);
    fallback = `wasm: ${obstacle}`;
  } else if (request.backend !== "wasm") {
    throw new SiteError("backend", `there is no backend '${request.backend}'; use wasm or webgpu`);
  }
  const obstacle = relaxed ? obstacleToThreads() : "this browser has no relaxed SIMD";
  const chosen = chooseThreads(request.threads, obstacle, request.allowFallback);
  let variant = relaxed ? "relaxed-simd" : "compat";
  if (chosen.threads > 1) variant = "threaded";
  fallback ??= chosen.fallback;
  return { backend: "wasm", variant, threads: chosen.threads, fallback };
}

async function obstacleToWebGpu(relaxed) {
  if (!navigator.gpu) return "this browser has no WebGPU";
  if (!("Suspending" in WebAssembly)) return "this browser cannot suspend WebAssembly (JSPI)";
  if (!relaxed) return "this browser has no relaxed SIMD";
  return (await navigator.gpu.requestAdapter()) ? "" : "the browser gives no GPU adapter";
}

/** Hide what LiteRT.js would take though it was not asked for: the GPU, and a pool of threads. */
function limit({ backend, threads }) {
  const hide = (name, value) => {
    Object.defineProperty(self.navigator, name, { value, configurable: true });
  };
  // On loading it asks for a GPU device in any case, which costs time and memory.
  if (backend !== "webgpu") hide("gpu", { requestAdapter: async () => null });
  // It starts as many workers as there are processors, before it knows how many are wanted.
  hide("hardwareConcurrency", threads);
}

/** Return what `loadLiteRt` is to load: the folder, or one file where it would choose another. */
function loaded(folder, { variant }) {
  return variant === "compat" ? `${folder}litert_wasm_compat_internal.js` : folder;
}

/** See `openBackend`. */
export async function open({ base, entry, request, bytes, tell }) {
  const folder = new URL(FOLDER, base).href;
  tell("engine", 0, 1);
  const lib = await import(`${folder}index.js`);
  const relaxed = request.variant !== "compat" && (await lib.supportsFeature("relaxedSimd"));
  const choice = await choose(request, relaxed);
  limit(choice);
  self.Module = {
    locateFile: (name) => folder + name,
    mainScriptUrlOrBlob: `${folder}litert_wasm_threaded_internal.js`,
  };
  const options = { threads: choice.threads > 1, jspi: choice.backend === "webgpu" };
  const litert = await lib.loadLiteRt(loaded(folder, choice), options);
  tell("engine", 1, 1);
  const file = await bytes;
  tell("compile", 0, 1);
  const model = await lib.loadAndCompile(file, {
    accelerator: choice.backend,
    cpuOptions: { numThreads: choice.threads },
  });
  tell("compile", 1, 1);
  if (choice.backend === "webgpu" && !model.isFullyAccelerated) {
    const reason = "WebGPU takes this model only in part, the rest runs in wasm";
    if (!request.allowFallback) throw new SiteError("webgpu", reason);
    choice.fallback = reason;
  }
  check(model, entry);
  return new LiteRtBackend({ lib, litert, model, entry, choice, request });
}

/** Throw a SiteError unless the file takes and gives what the site says. */
function check(model, entry) {
  const found = [model.getInputDetails(), model.getOutputDetails()];
  [entry.inputs, entry.outputs].forEach((told, side) => {
    const seen = found[side].map((one) => `${one.dtype} ${Array.from(one.shape)}`);
    const wanted = told.map((one) => `${one.dtype} ${one.shape}`);
    if (seen.join("; ") !== wanted.join("; ")) {
      throw new SiteError(
        "model",
        `${entry.file} has ${seen.join("; ")}, the site says ${wanted.join("; ")}`,
      );
    }
  });
}

/** Run one compiled model. */
class LiteRtBackend {
  constructor({ lib, litert, model, entry, choice, request }) {
    this._lib = lib;
    this._wasm = litert.liteRtWasm;
    this._model = model;
    this._inputs = entry.inputs;
    this.info = {
      engine: "litert.js",
      version: entry.engine_version,
      ...choice,
      requested: requested(request),
    };
  }

  /**
   * Return the outputs for tensors of the card's types. int8 is not known to LiteRT.js: the site's
   * file then takes uint8, 128 more.
   * @param {(Uint8Array|Int8Array|Int32Array|Float32Array)[]} tensors
   */
  async run(tensors) {
    const given = [];
    let made = [];
    try {
      tensors.forEach((tensor, place) => given.push(this._tensor(tensor, this._inputs[place])));
      made = await this._model.run(given);
      const outputs = [];
      for (const output of made) outputs.push(await output.data());
      return outputs;
    } finally {
      // The engine's memory is not the browser's to collect.
      for (const tensor of [...given, ...made]) tensor.delete();
    }
  }

  _tensor(values, { dtype, shape }) {
    const given = values instanceof Int8Array ? shifted(values) : values;
    if (!(given instanceof ARRAYS[dtype])) {
      throw new SiteError("model", `the model takes ${dtype}, not ${given.constructor.name}`);
    }
    return new this._lib.Tensor(given, shape);
  }

  /** Bytes of the engine's WebAssembly memory. */
  memoryBytes() {
    return this._wasm.HEAPU8.buffer.byteLength;
  }
}

/** Return int8 values as uint8 ones, each 128 more. */
function shifted(tensor) {
  const bytes = new Uint8Array(tensor.buffer, tensor.byteOffset, tensor.length);
  return bytes.map((value) => value ^ 0x80);
}
