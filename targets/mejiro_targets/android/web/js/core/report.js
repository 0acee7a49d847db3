/** Make the report of a run, in the form that `mejiro compare` reads. */

// What would change the line or the terminal that a text is shown in.
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\ud800-\udfff]/gu;
const MAX_TEXT = 200;

/**
 * Return a text of one line, as the host's reader takes it.
 * @param {unknown} value
 */
function line(value) {
  return String(value ?? "").replace(CONTROLS, " ").slice(0, MAX_TEXT);
}

/** Return the values of an object that are there, its texts as one line each. */
function facts(value) {
  const kept = {};
  for (const [name, entry] of Object.entries(value ?? {})) {
    if (entry === undefined) continue;
    kept[name] = typeof entry === "string" ? line(entry) : entry;
  }
  return kept;
}

/**
 * Return what runs the model, as `mejiro_runtime.backends.BackendInfo` says it.
 * @param {import("./client.js").ModelInfo} info
 */
export function backendOf(info) {
  return {
    name: info.engine,
    engine: info.engine,
    version: info.version,
    accelerator: `${info.backend} ${info.variant}`,
    threads: info.threads,
    requested: info.requested,
    fallback: info.fallback,
  };
}

/**
 * Return the report of a run as plain JSON values. All durations are nanoseconds.
 *
 * `recorder` holds at least one frame; `dropped` counts frames by cause; `device` holds what the
 * browser tells of the phone; `verification` is what `model.verify` gave, or null.
 *
 * @param {{site: object, model: import("./client.js").Model,
 *   recorder: import("./latency.js").LatencyRecorder, dropped?: Object<string, number>,
 *   elapsed_ns: number, device: object, telemetry?: object|null, verification?: object|null,
 *   source: string}} run
 */
export function makeReport(run) {
  const { site, model, recorder, elapsed_ns } = run;
  const elapsed = Math.round(elapsed_ns);
  const memory = run.telemetry?.peak_memory_bytes ?? null;
  return {
    kind: "browser",
    bundle: line(site.name),
    site: line(site.version),
    made_by: line(site.made_by),
    target: line(site.target),
    artifact: model.card.file,
    precision: model.card.precision,
    device: { machine: "wasm32", ...facts(run.device), isolated: model.info.isolated },
    backend: backendOf(model.info),
    kernel: "javascript",
    source: line(run.source),
    frames: recorder.count,
    elapsed_ns: elapsed,
    frames_per_second: elapsed ? Math.round((recorder.count / elapsed) * 1e12) / 1e3 : 0,
    load_ns: model.info.load_ns,
    first_infer_ns: model.info.first_infer_ns,
    stages: recorder.summary(),
    dropped: { ...run.dropped },
    telemetry: run.telemetry ? facts(run.telemetry) : null,
    peak_memory_bytes: memory === null ? null : Math.round(memory),
    verification: run.verification ?? null,
  };
}
