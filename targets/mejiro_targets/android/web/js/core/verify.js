/**
 * Replay a site's golden frames and say which stage differs first, and by how much, as
 * `mejiro_runtime.verify` does.
 */

import { SiteError } from "./errors.js";
import { readGolden } from "./golden.js";
import { backendOf } from "./report.js";

const STAGES = ["preprocess", "infer", "label"];
const MACHINE = "wasm32";

/**
 * Return the first tolerance that counts for an engine in a browser. WebGPU has kernels of its own:
 * for it counts what is allowed to any other engine.
 */
export function toleranceFor(tolerances, engine, backend) {
  const names = backend === "wasm" ? [engine, "*"] : ["*"];
  const found = tolerances.find(
    (one) => names.includes(one.backend) && [MACHINE, "*"].includes(one.machine),
  );
  if (!found) {
    throw new SiteError("golden", `the site records no tolerance for ${engine}; write it again`);
  }
  return found;
}

/** Return how a tensor differs from the recorded one, or null. */
function difference(frame, made, wanted) {
  let [values, largest] = [0, 0];
  for (let at = 0; at < wanted.length; at += 1) {
    const gap = Math.abs(made[at] - wanted[at]);
    if (gap > 0 || Number.isNaN(gap)) values += 1;
    if (gap > largest) largest = gap;
  }
  if (!values) return null;
  const total = wanted.length;
  return { stage: "preprocess", frame, values, total, max_abs: largest, detail: "" };
}

/** Return a recorded answer as the task's reader compares it: rows for boxes. */
function recordOf({ shape, values }, task) {
  if (task !== "detection") return values;
  return Array.from({ length: shape[0] }, (_, row) =>
    Array.from(values.subarray(row * shape[1], (row + 1) * shape[1])),
  );
}

/**
 * Return the verdict as plain JSON values.
 *
 * Input tensors must be equal to the bit. The engine is given the recorded tensors, so that a fault
 * of preprocessing is not counted twice. Each frame is the first of a stream.
 */
export async function verify({ base, entry, info, preprocessor, memory, reader, onFrame }) {
  const golden = await readGolden(base, entry);
  const tolerance = toleranceFor(entry.golden.tolerances, entry.engine, info.backend);
  const found = [];
  let largest = 0;
  for (const [index, { frame, input, output }] of golden.entries()) {
    const gone = difference(index, preprocessor.run(frame), input);
    if (gone) found.push(gone);
    memory.reset();
    const outputs = await memory.run(input);
    const record = reader.record(outputs, frame.height, frame.width);
    const gap = reader.compare(record, recordOf(output, entry.card.output.task));
    largest = Math.max(largest, gap.size);
    const told = { frame: index, max_abs: gap.size };
    if (!(gap.size <= tolerance.max_abs)) {
      const { values, total } = gap;
      found.push({ ...told, stage: "infer", values, total, detail: "" });
    }
    if (gap.answer) {
      found.push({ ...told, stage: "label", values: 1, total: 1, detail: gap.answer });
    }
    onFrame(index + 1, golden.length);
  }
  memory.reset();
  const order = (one) => STAGES.indexOf(one.stage);
  found.sort((a, b) => order(a) - order(b) || a.frame - b.frame);
  return {
    artifact: entry.card.file,
    passed: !found.length,
    frames: golden.length,
    backend: backendOf(info),
    kernel: "javascript",
    tolerance: tolerance.max_abs,
    tolerance_for: [tolerance.backend, tolerance.machine],
    largest_output: largest,
    unit: reader.unit,
    difference: found[0] ?? null,
  };
}
