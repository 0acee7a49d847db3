/** Show where every millisecond goes, and what really runs. */

import { distributionOf } from "../core/latency.js";
import { find, make, pair, setText } from "../dom.js";
import { counted, megabytes, ms } from "../figures.js";
import { BUSY, NEWER } from "../sources/frames.js";
import { STACKED, drawStack } from "./stack.js";

const NEWEST = 2048; // as the live page; sorting more, twice a second, would slow what it shows
const SUMS = ["frame_to_label", "age"];
const CAUSES = { [NEWER]: "dropped_newer", [BUSY]: "dropped_busy" };

/**
 * Write the latency sheet anew.
 * @param {{run: import("../loop.js").Run|null, model: object|null, telemetry: object,
 *   webgpu: boolean}} facts
 * @param {import("../words.js").Words} words
 */
export function showLatency({ run, model, telemetry, webgpu }, words) {
  const stages = run ? newest(run.recorder) : {};
  showTiles({ run, stages, telemetry }, words);
  showStages(stages, words);
  showDropped(run, words);
  if (model) showEngine(model, { telemetry, webgpu }, words);
  drawStack(run?.recent ?? [], words);
}

/** Return the distributions of the newest frames, by stage. */
function newest(recorder) {
  if (!recorder.count) return {};
  const found = Object.entries(recorder.durations).map(([stage, values]) => {
    const end = recorder.count % values.length || values.length;
    const start = Math.max(0, end - NEWEST);
    const wrapped = values.subarray(
      values.length - Math.min(NEWEST - (end - start), values.length - end),
    );
    return [stage, distributionOf([...wrapped, ...values.subarray(start, end)])];
  });
  return Object.fromEntries(found);
}

/** Write the button that opens the sheet: what a frame takes, and how many there are. */
export function showChip(run, words) {
  const last = [...(run?.recent ?? [])]
    .map((timing) => timing.frame_to_label_ns)
    .sort((a, b) => a - b);
  const rate = run?.recentRate;
  const median = last[Math.ceil(last.length / 2) - 1];
  setText(find("chip-ms"), last.length ? `${ms(median)} ms` : "– ms");
  setText(
    find("chip-fps"),
    rate && run.source.live ? `${rate.toFixed(1)} ${words.of("perSecond")}` : "",
  );
}

function showTiles({ run, stages, telemetry }, words) {
  const tiles = [];
  const rate = run?.recentRate;
  if (rate) tiles.push(pair(words.of("frames"), rate.toFixed(1), words.of("perSecond")));
  if (stages.frame_to_label)
    tiles.push(pair(words.of("frameToLabel"), ms(stages.frame_to_label.p50_ns), "ms, p50"));
  if (stages.age) tiles.push(pair(words.of("age"), ms(stages.age.p99_ns), "ms, p99"));
  if (run) tiles.push(droppedTile(run, words));
  if (telemetry.memory_bytes)
    tiles.push(pair(words.of("memory"), megabytes(telemetry.memory_bytes), "MB"));
  if (telemetry.battery_percent !== undefined) {
    const unit = telemetry.battery_charging ? words.of("charging") : "%";
    tiles.push(pair(words.of("battery"), String(telemetry.battery_percent), unit));
  }
  find("tiles").replaceChildren(...tiles);
}

function droppedTile(run, words) {
  const dropped = Object.values(run.dropped).reduce((sum, count) => sum + count, 0);
  const share = dropped ? `${((100 * dropped) / (dropped + run.recorder.count)).toFixed(1)} %` : "";
  return pair(words.of("droppedShort"), counted(dropped), share);
}

function showStages(stages, words) {
  const rows = Object.entries(stages).map(([stage, found]) => {
    const row = make("tr", undefined, SUMS.includes(stage) ? "sum" : "");
    const name = make("th", words.of(`stage_${stage}`));
    name.scope = "row";
    row.append(name, ...[found.p50_ns, found.p95_ns, found.p99_ns].map((ns) => make("td", ms(ns))));
    return row;
  });
  find("stages").replaceChildren(...(rows.length ? rows : [emptyRow(words)]));
  find("legend").replaceChildren(
    ...STACKED.filter((stage) => stages[stage]).map((stage) => {
      const item = make("li");
      const key = make("i");
      key.dataset.stage = stage;
      item.append(key, words.of(`stage_${stage}`));
      return item;
    }),
  );
}

function emptyRow(words) {
  const row = make("tr");
  const cell = make("td", words.of("waitingFrame"), "quiet");
  cell.colSpan = 4;
  row.append(cell);
  return row;
}

function showDropped(run, words) {
  const rows = Object.entries(run?.dropped ?? {}).map(([cause, count]) =>
    pair(words.of(CAUSES[cause] ?? cause), counted(count)),
  );
  find("dropped").replaceChildren(...(rows.length ? rows : [pair(words.of("none"), "0")]));
}

function showEngine({ card, info }, { telemetry, webgpu }, words) {
  const yes = (value) => words.of(value ? "yes" : "no");
  const memory = telemetry.engine_memory_bytes;
  const told = memory ? [pair(words.of("engineMemory"), `${megabytes(memory)} MB`)] : [];
  find("engine").replaceChildren(
    pair(words.of("engine"), `${info.engine} ${info.version}`),
    pair(words.of("file"), card.file),
    pair(words.of("backend"), words.of(`backend_${info.backend}`)),
    pair(words.of("variant"), info.variant),
    pair(words.of("threadsUsed"), String(info.threads)),
    pair(words.of("isolated"), yes(info.isolated)),
    pair(words.of("webgpu"), words.of(webgpu ? "offered" : "notOffered")),
    pair(words.of("load"), `${ms(info.load_ns)} ms`),
    pair(words.of("firstInference"), `${ms(info.first_infer_ns)} ms`),
    ...told,
  );
  find("fallback").hidden = !info.fallback;
  if (info.fallback) setText(find("fallback"), words.of("fallback", { reason: info.fallback }));
}
