"use strict";
// The page of a running model. One web socket brings text (what was seen, figures) and pictures;
// "next" asks for another picture, so one that is slow or hidden gets fewer, never old ones.

const $ = (id) => document.getElementById(id);
const STACK = ["waiting", "preprocess", "infer", "postprocess"];
const NAMES = { frame_to_label: "frame to label" };
const COLUMNS = 240; // ten a second at most
const MIN_RETRY_MS = 500;
const MAX_RETRY_MS = 5000;

let socket = null;
let retryMs = MIN_RETRY_MS;
let paused = false;
let asked = true; // the first picture comes without being asked for
let shownUrl = "";
let shownBlob = null;
let columns = [];
let slow = null;
let live = null;
let coming = null; // what was seen in the picture that comes next
let seen = null;

function make(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function ms(value) {
  return value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0);
}

function percent(share) {
  if (share < 0.0005) return "< 0.1 %";
  return `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;
}

const counted = (value) => value.toLocaleString("en").replaceAll(",", "\u202f");

// ---- connection

function connect() {
  socket = new WebSocket(`ws://${location.host}/live`);
  socket.binaryType = "blob";
  socket.onopen = () => {
    retryMs = MIN_RETRY_MS;
    asked = true;
    columns = [];
    setState(paused ? "paused" : "live");
    $("pause").disabled = false;
  };
  socket.onmessage = (event) => {
    if (typeof event.data === "string") take(JSON.parse(event.data));
    else showPicture(event.data);
  };
  socket.onclose = lost;
}

async function lost() {
  setState("lost");
  const wait = retryMs;
  retryMs = Math.min(MAX_RETRY_MS, retryMs * 1.6);
  let text = "The run does not answer. It has ended or is starting anew; this page tries again by itself.";
  try {
    const answer = await fetch("/icon.svg", { signal: AbortSignal.timeout(MAX_RETRY_MS) });
    if (answer.status === 401) text = "The run has started anew, with another token. Open the address that its terminal shows.";
    else if (answer.ok) text = "As many viewers as are allowed watch already; this page tries again by itself.";
  } catch { /* nobody answers, as the text says */ }
  notice("connection", text, "bad");
  setTimeout(connect, wait);
}

function ask() {
  if (!asked && !paused && !document.hidden && socket.readyState === WebSocket.OPEN) {
    asked = true;
    socket.send("next");
  }
}

function setState(kind) {
  const words = { live: "live", paused: "paused", lost: "no connection", stalled: "no frames" };
  const pill = $("state");
  if (pill.dataset.kind === kind) return;
  pill.dataset.kind = kind;
  pill.textContent = words[kind];
  if (kind !== "lost") notice("connection", "");
}

function notice(name, text, kind = "") {
  const id = `notice-${name}`;
  let box = $(id);
  if (!text) { if (box) box.remove(); return; }
  if (!box) {
    box = make("p", "", `notice ${kind}`);
    box.id = id;
    $("notices").append(box);
  }
  if (box.textContent !== text) box.textContent = text;
}

// ---- what comes

function showPicture(blob) {
  if (paused) { asked = false; return; }
  const url = URL.createObjectURL(blob);
  const picture = $("picture");
  const found = coming;
  const done = () => {
    if (shownUrl) URL.revokeObjectURL(shownUrl);
    shownUrl = url;
    shownBlob = blob;
    seen = found;
    showAnswers();
    asked = false;
    ask();
  };
  picture.onload = done;
  picture.onerror = done;
  picture.src = url;
  picture.hidden = false;
  $("no-picture").hidden = true;
  $("snapshot").disabled = false;
}

function take(message) {
  if (paused) return;
  if (message.seen) {
    coming = message.seen;
  } else if (message.live) {
    notice("error", message.live.error ? `The page cannot be drawn whole: ${message.live.error}` : "", "bad");
    if (message.live.error) return;
    live = message.live;
    if (live.stack) {
      columns.push({ stack: live.stack, peak: live.peak });
      if (columns.length > COLUMNS) columns.shift();
    }
    requestAnimationFrame(drawStack);
    setState(live.quiet_s > 3 ? "stalled" : "live");
  } else {
    slow = message;
    showFacts();
    showTiles();
    showStages();
    showExplain();
    requestAnimationFrame(drawHistogram);
  }
}

function showAnswers() {
  const found = seen.top || seen.boxes || seen.shares;
  if (!found) return;
  const list = $("labels");
  while (list.children.length > found.length) list.lastChild.remove();
  found.forEach(([name, score], place) => {
    let row = list.children[place];
    if (!row) {
      row = make("li");
      const line = make("div", undefined, "line");
      const bar = make("div", undefined, "bar");
      line.append(make("span", "", "name"), make("span", "", "score"));
      bar.append(make("i"));
      row.append(line, bar);
      list.append(row);
    }
    row.querySelector(".name").textContent = name;
    row.querySelector(".score").textContent = percent(score);
    row.querySelector("i").style.width = `${Math.min(100, 100 * score)}%`;
  });
  $("h-answers").textContent = seen.shares ? "Share of the picture" : "What it sees";
  $("frame").textContent = `frame ${counted(seen.frame)}${seen.name ? ` · ${seen.name}` : ""} · ${seen.size.join("×")}`;
}

function showFacts() {
  const facts = slow.facts;
  $("bundle").textContent = facts.bundle || "Mejiro";
  document.title = facts.bundle ? `${facts.bundle} · Mejiro live` : "Mejiro live";
  $("about").textContent = [facts.artifact, facts.backend, facts.device].filter(Boolean).join(" · ");
  $("about").title = $("about").textContent;
  $("source").textContent = facts.source || "";
  const outage = facts.outage;
  notice("outage", outage ? `The source was lost ${Math.round(outage.seconds)} s ago: ${outage.reason}. Trying again.` : "", "bad");
  notice("collecting", facts.collecting ? `Frames are being kept: ${facts.collecting}` : "");
  notice("notes", (facts.notes || []).join(" "));
  const hot = facts.telemetry && facts.telemetry.throttled;
  notice("throttled", hot && hot.length ? `The clock is held down: ${hot.join(", ")}.` : "");
  const box = $("dropped");
  const rows = Object.entries(facts.dropped || {}).map(([cause, count]) => pair(cause, counted(count)));
  if (facts.outages) rows.push(pair("times the source was lost", counted(facts.outages)));
  box.replaceChildren(...(rows.length ? rows : [pair("none", "0")]));
}

function pair(name, value, unit = "", className = "") {
  const box = make("div", undefined, className);
  const shown = make("dd", value);
  if (unit) shown.append(make("small", unit));
  box.append(make("dt", name), shown);
  return box;
}

function showTiles() {
  const tiles = [];
  const telemetry = slow.facts.telemetry || {};
  const stages = slow.stages;
  if (live && live.fps !== null) tiles.push(pair("Frames", live.fps.toFixed(1), "a second"));
  if (stages.frame_to_label) tiles.push(pair("Frame to label", ms(stages.frame_to_label[0]), "ms, p50"));
  if (stages.age) tiles.push(pair("Frame's age", ms(stages.age[2]), "ms, p99"));
  const dropped = Object.values(slow.facts.dropped || {}).reduce((sum, count) => sum + count, 0);
  if (live) {
    const share = dropped ? (100 * dropped) / (dropped + live.shown) : 0;
    tiles.push(pair("Dropped", counted(dropped), dropped ? `${share.toFixed(1)} %` : ""));
  }
  const hot = telemetry.throttled && telemetry.throttled.length ? "warn" : "";
  if (telemetry.temperature_celsius !== undefined) tiles.push(pair("Temperature", telemetry.temperature_celsius.toFixed(1), "°C", hot));
  if (telemetry.clock_hz !== undefined) tiles.push(pair("Clock", (telemetry.clock_hz / 1e9).toFixed(2), "GHz", hot));
  if (telemetry.power_watts !== undefined) tiles.push(pair("Power", telemetry.power_watts.toFixed(1), "W"));
  if (telemetry.cpu_percent !== undefined) tiles.push(pair("CPU", telemetry.cpu_percent.toFixed(0), "% of a core"));
  if (telemetry.memory_bytes !== undefined) tiles.push(pair("Memory", (telemetry.memory_bytes / 1e6).toFixed(0), "MB"));
  $("tiles").replaceChildren(...tiles);
}

function showStages() {
  const body = $("stages");
  body.replaceChildren(...Object.entries(slow.stages).map(([stage, values]) => {
    const row = make("tr", undefined, stage === "frame_to_label" || stage === "age" ? "sum" : "");
    const name = make("th", NAMES[stage] || stage);
    name.scope = "row";
    row.append(name, ...values.map((value) => make("td", ms(value))));
    return row;
  }));
  $("legend").replaceChildren(...STACK.filter((stage) => slow.stages[stage]).map((stage) => {
    const item = make("li");
    const key = make("i");
    key.style.background = `var(--${stage})`;
    item.append(key, stage, make("b", `${ms(slow.stages[stage][0])} ms`));
    return item;
  }), make("li", "– the slowest of each tenth of a second", "quiet"));
}

function showExplain() {
  const { offered, on, map_ms: map, heat_ms: heat } = slow.explain;
  $("explain").hidden = !offered;
  $("key-map").hidden = !offered;
  $("explain").setAttribute("aria-checked", String(on));
  $("explain-cost").hidden = !on || map === null;
  if (on && map !== null) $("explain-cost").textContent = `costs ${ms(map)} ms a frame, and ${ms(heat)} ms a picture beside the run`;
}

// ---- charts

function prepare(id) {
  const canvas = $(id);
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  pen.font = `12px ${getComputedStyle(document.body).fontFamily}`;
  return { canvas, pen, width, height, colour };
}

function niceStep(top, lines) {
  const rough = top / lines;
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * ([1, 2, 2.5, 5].find((factor) => factor * power >= rough) || 10);
}

function drawStack() {
  if (!columns.length) return;
  const { canvas, pen, width, height, colour } = prepare("stack");
  const left = 44;
  const foot = height - 6;
  const head = 10;
  const sums = columns.map(({ stack }) => stack.reduce((a, b) => a + b, 0));
  // A rare spike is cut, and its height written, rather than pressing all others flat.
  const usual = [...sums].sort((a, b) => a - b)[Math.floor(0.97 * (sums.length - 1))];
  const top = Math.max(0.01, 1.35 * usual);
  const y = (value) => foot - ((foot - head) * Math.min(value, top)) / top;
  const step = niceStep(top, 4);
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  for (let value = 0; value <= top; value += step) {
    pen.fillStyle = colour("line");
    pen.fillRect(left, Math.round(y(value)), width - left, 1);
    pen.fillStyle = colour("soft");
    pen.fillText(step < 1 ? value.toFixed(step < 0.1 ? 2 : 1) : String(value), left - 8, y(value));
  }
  const wide = (width - left) / COLUMNS;
  const start = width - wide * columns.length;
  STACK.forEach((stage, part) => {
    pen.fillStyle = colour(stage);
    columns.forEach(({ stack }, place) => {
      const below = stack.slice(0, part).reduce((a, b) => a + b, 0);
      const high = y(below) - y(below + stack[part]);
      pen.fillRect(start + place * wide, y(below) - high, wide + 0.4, high);
    });
  });
  pen.fillStyle = colour("ink");
  columns.forEach(({ peak }, place) => {
    if (peak <= top) pen.fillRect(start + place * wide, y(peak) - 0.5, Math.max(1, wide), 1);
  });
  const highest = sums.indexOf(Math.max(...sums));
  if (sums[highest] > top) {
    const place = start + highest * wide;
    pen.textAlign = place > width / 2 ? "right" : "left";
    pen.fillText(`▲ ${ms(sums[highest])}`, place + (place > width / 2 ? -4 : wide + 4), head + 2);
  }
  const last = columns[columns.length - 1].stack;
  canvas.setAttribute("aria-label", `Latency by stage, now: ${STACK.map((stage, part) => `${stage} ${ms(last[part])} ms`).join(", ")}`);
}

function drawHistogram() {
  const found = slow && slow.histogram;
  if (!found) return;
  const { canvas, pen, width, height, colour } = prepare("histogram");
  const foot = height - 22;
  const head = 24;
  const total = found.counts.reduce((a, b) => a + b, 0);
  const most = Math.max(...found.counts);
  const ratio = Math.log(found.high / found.low);
  const x = (value) => (Math.log(value / found.low) / ratio) * width;
  pen.fillStyle = colour("infer");
  found.counts.forEach((count, place) => {
    const high = count ? Math.max(1.5, ((foot - head) * count) / most) : 0;
    const wide = width / found.counts.length;
    pen.fillRect(place * wide + 0.5, foot - high, wide - 1, high);
  });
  pen.fillStyle = colour("line");
  pen.fillRect(0, foot, width, 1);
  const [p50, p90, p99] = slow.stages.frame_to_label;
  pen.textBaseline = "top";
  for (const [name, value, level] of [["p50", p50, 0], ["p99", p99, 0]]) {
    const place = Math.min(Math.max(x(value), 1), width - 1);
    pen.fillStyle = colour("ink");
    pen.fillRect(Math.round(place), head - 6, 1, foot - head + 6);
    pen.textAlign = place > width / 2 ? "right" : "left";
    if (name === "p50" && x(p99) - x(p50) < 110) pen.textAlign = place > 90 ? "right" : "left";
    pen.fillText(`${name} ${ms(value)}`, place + (pen.textAlign === "right" ? -5 : 5), level + 2);
  }
  pen.fillStyle = colour("soft");
  pen.textBaseline = "bottom";
  pen.textAlign = "left";
  pen.fillText(`${ms(found.low)} ms`, 0, height - 2);
  pen.textAlign = "right";
  pen.fillText(`${ms(found.high)} ms`, width, height - 2);
  pen.textAlign = "center";
  for (let value = 10 ** Math.floor(Math.log10(found.low)); value < found.high; value *= 10) {
    for (const tick of [value, 2 * value, 5 * value]) {
      if (x(tick) < 60 || x(tick) > width - 60) continue;
      pen.fillRect(Math.round(x(tick)), foot, 1, 4);
      pen.fillText(String(Number(tick.toPrecision(2))), x(tick), height - 2);
    }
  }
  $("counted").textContent = `${counted(total)} frames`;
  canvas.setAttribute("aria-label", `Frame-to-label times of ${total} frames: p50 ${ms(p50)} ms, p90 ${ms(p90)} ms, p99 ${ms(p99)} ms`);
}

// ---- controls

function setPaused(on) {
  paused = on;
  $("pause").setAttribute("aria-pressed", String(on));
  $("pause").querySelector("span").textContent = on ? "Go on" : "Pause";
  if ($("state").dataset.kind !== "lost") setState(on ? "paused" : "live");
  if (!on) { columns = []; ask(); }
}

function saveSnapshot() {
  if (!shownBlob) return;
  const link = make("a");
  // An address of its own: the shown one is gone with the next picture.
  const url = URL.createObjectURL(shownBlob);
  setTimeout(() => URL.revokeObjectURL(url), 60000);
  link.href = url;
  link.download = `mejiro-${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}-frame${seen.frame}.jpg`;
  link.click();
}

function switchExplain() {
  if ($("explain").hidden || socket.readyState !== WebSocket.OPEN) return;
  const on = $("explain").getAttribute("aria-checked") !== "true";
  $("explain").setAttribute("aria-checked", String(on));
  socket.send(on ? "explain on" : "explain off");
}

$("pause").onclick = () => setPaused(!paused);
$("snapshot").onclick = saveSnapshot;
$("explain").onclick = switchExplain;
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.toLowerCase();
  if (key === "p" && !$("pause").disabled) setPaused(!paused);
  else if (key === "s") saveSnapshot();
  else if (key === "m") switchExplain();
});
document.addEventListener("visibilitychange", ask);
const redraw = () => { drawStack(); drawHistogram(); };
window.addEventListener("resize", redraw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
// The cookie has taken the token's place: keep it out of the history.
if (location.search) history.replaceState(null, "", "/");
$("span").textContent = String(COLUMNS / 10);
connect();
