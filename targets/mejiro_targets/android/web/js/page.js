/** Put the page together: what the user presses, what the app tells, what is kept offline. */

import { App } from "./app.js";
import { Awake } from "./awake.js";
import { Stage } from "./draw/stage.js";
import { hasWebGpu } from "./device.js";
import { find } from "./dom.js";
import { Settings } from "./memory.js";
import { findUpdate, keepWhole, prepareOffline } from "./offline.js";
import { Answers } from "./panels/answers.js";
import { showChip, showLatency } from "./panels/latency.js";
import { notice } from "./panels/notices.js";
import { hostAsker, measureByItself, prepareReports, showReports } from "./panels/reports.js";
import { Screen } from "./panels/screen.js";
import { listenToSettings, showSettings } from "./panels/settings.js";
import { prepareSheets } from "./panels/sheets.js";
import { readParameters } from "./parameters.js";
import { loadSite } from "./site.js";
import { cameraAllowed, listCameras } from "./sources/camera.js";
import { Words, chooseLanguage } from "./words.js";

const REFRESH_MS = 500;
const TELEMETRY_MS = 5000;

const parameters = readParameters(location.search);
const settings = new Settings();
const words = new Words(
  chooseLanguage([parameters.lang, settings.get("language"), ...(navigator.languages ?? [])]),
);
const stage = new Stage({ video: find("video"), still: find("still"), overlay: find("overlay") });
const app = new App({ settings, parameters, stage });
const answers = new Answers(words);
const screenView = new Screen(app, words);
const awake = new Awake();
const askHost = hostAsker(app);
let whole = false;
let webgpu = false;
let hiddenKind = "";

const sheets = prepareSheets((name, open) => {
  if (!open || !app.site) return;
  if (name === "latency") askHost();
  hasWebGpu().then((found) => {
    webgpu = found;
    refresh();
  });
  refresh();
});

function start(kind) {
  sheets.closeAll();
  settings.set("source", kind);
  return app.start(kind);
}

function toggle() {
  if (app.running) app.stop();
  else if (app.trusted) start(app.kind || "camera");
}

function pickFile() {
  find("file").click();
}

function openFile(file) {
  if (!file || !app.trusted) return;
  app.file = file;
  start("file");
}

/** Write again what changes by itself; called twice a second. */
function showFigures() {
  showChip(app.run, words);
  showReports(app);
  if (!find("latency").hidden) {
    showLatency({ run: app.run, model: app.model, telemetry: app.telemetry.values, webgpu }, words);
  }
}

/** Write all again, because something happened. */
function refresh() {
  showFigures();
  if (!find("settings").hidden) showSettings({ app, words, whole, webgpu });
}

function showAnswer() {
  const shown = app.running || app.state === "stopped";
  if (shown && app.results) answers.show(app.results, settings.get("top"));
}

async function restart() {
  const { kind, running } = app;
  answers.hide();
  if ((await app.open()) && running) await app.start(kind);
}

function showNextCamera() {
  const camera = app.source?.kind === "camera";
  listCameras().then((cameras) => {
    find("next-camera").hidden = !camera || cameras.length < 2;
  });
}

async function nextCamera() {
  const ids = (await listCameras()).map(([id]) => id);
  const present = app.source?.deviceId ?? settings.get("camera");
  settings.set("camera", ids[(ids.indexOf(present) + 1) % ids.length] ?? "");
  await app.start("camera");
}

function listenToApp() {
  app.addEventListener("result", showAnswer);
  app.addEventListener("state", () => {
    awake.keep(app.running && settings.get("awake"));
    if (app.state === "error" || app.state === "loading") answers.hide();
    refresh();
  });
  app.addEventListener("model", refresh);
  app.addEventListener("source", () => {
    if (app.source) answers.hide();
    showNextCamera();
    refresh();
  });
  setInterval(showFigures, REFRESH_MS);
  navigator.mediaDevices?.addEventListener("devicechange", refresh);
  setInterval(() => {
    if (app.running && !document.hidden) app.readTelemetry();
  }, TELEMETRY_MS);
  app.addEventListener("source", () => {
    if (app.source && app.model) app.readTelemetry();
  });
}

function listenToUser() {
  const on = (id, act) => find(id).addEventListener("click", act);
  for (const id of ["start-camera", "use-camera"]) on(id, () => start("camera"));
  for (const id of ["start-golden", "use-golden"]) on(id, () => start("golden"));
  for (const id of ["start-file", "use-file", "pick-file"]) on(id, pickFile);
  on("toggle", toggle);
  on("verify", () => app.verify());
  on("run-anyway", () => app.accept());
  on("next-camera", nextCamera);
  on("torch", async () => {
    await app.source?.setTorch(!app.source.torchOn);
    screenView.show();
  });
  find("file").addEventListener("change", ({ target }) => {
    openFile(target.files[0]);
    target.value = ""; // the same file may be chosen again
  });
  document.addEventListener("keydown", (event) => {
    const elsewhere = event.target.closest?.("input, select") || find("controls").hidden;
    if (elsewhere || event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.toLowerCase();
    if (key === "p") toggle();
    if (key === "l") sheets.toggle("latency");
  });
}

function listenToChoices() {
  listenToSettings({
    settings,
    onCamera: () => {
      if (app.source?.kind === "camera") app.start("camera");
    },
    onModel: () => {
      // What the address asked for has been overruled.
      Object.assign(parameters, { backend: null, threads: null });
      restart();
    },
    onShowing: showingChanged,
    onLanguage: (language) => {
      settings.set("language", language);
      words.language = language;
      translate();
    },
  });
}

function showingChanged() {
  stage.markRegion = settings.get("region");
  stage.redraw();
  showAnswer();
  awake.keep(app.running && settings.get("awake"));
  // One picture is looked at once; another threshold may find more in it.
  if (app.kind === "file" && app.source && !app.source.live && !app.running) app.start("file");
}

function listenToDrops() {
  const files = ({ dataTransfer }) => [...(dataTransfer?.types ?? [])].includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!files(event)) return;
    event.preventDefault();
    find("drop").hidden = false;
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) find("drop").hidden = true;
  });
  document.addEventListener("drop", (event) => {
    if (!files(event)) return;
    event.preventDefault();
    find("drop").hidden = true;
    openFile(event.dataTransfer.files[0]);
  });
}

/** A hidden page gives the camera back; what ran goes on when it is seen again. */
function listenToVisibility() {
  document.addEventListener("visibilitychange", () => {
    if (document.hidden && app.running) {
      hiddenKind = app.kind;
      app.stop();
    } else if (!document.hidden && hiddenKind) {
      const kind = hiddenKind;
      hiddenKind = "";
      if (app.state === "stopped") app.start(kind);
    }
  });
}

function listenToInstall() {
  let offer = null;
  window.addEventListener("beforeinstallprompt", (event) => {
    event.preventDefault();
    offer = event;
    find("install").hidden = false;
  });
  find("install").addEventListener("click", async () => {
    await offer?.prompt();
    offer = null;
    find("install").hidden = true;
  });
}

function translate() {
  words.translate(document);
  screenView.show();
  showAnswer();
  refresh();
}

/** Keep what this version needs, and look for a newer one. */
async function stayFresh(registration) {
  if (!registration) return;
  keepWhole().then((kept) => {
    whole = kept;
    refresh();
  });
  const update = await findUpdate(app.site, registration);
  if (!update) return;
  // Nobody is disturbed while nothing runs.
  if (!app.running && !app.source && app.state === "ready") update();
  else notice("update", words.of("updateReady"), { button: words.of("reload"), press: update });
}

async function startAsAsked(opening) {
  const { source } = parameters;
  const kind =
    source ?? (settings.get("source") === "camera" && (await cameraAllowed()) ? "camera" : null);
  if (kind === "camera" || kind === "golden") await app.start(kind, opening);
}

async function main() {
  translate();
  stage.markRegion = settings.get("region");
  listenToApp();
  listenToUser();
  listenToChoices();
  listenToDrops();
  listenToVisibility();
  listenToInstall();
  prepareReports({ app, words });
  try {
    app.site = await loadSite();
  } catch (error) {
    app.fail("site", { reason: error.message });
    return;
  }
  screenView.show();
  const registration = await prepareOffline(app.site);
  // A measurement is of the version that the host has now.
  const update = parameters.auto && registration && (await findUpdate(app.site, registration));
  if (update) {
    update();
    return;
  }
  const opening = app.open();
  // Nobody is there to choose a file.
  const measured = parameters.source === "golden" ? "golden" : "camera";
  if (parameters.auto) measureByItself({ app, words, start: () => app.start(measured, opening) });
  else startAsAsked(opening);
  if (await opening) await stayFresh(registration);
}

// For a look from the developer's tools, and for tests; nothing here changes the page.
window.mejiro = Object.freeze({
  get site() {
    return app.site;
  },
  get model() {
    return app.model;
  },
  get results() {
    return app.results;
  },
  get verification() {
    return app.verification;
  },
  get dropped() {
    return app.run?.dropped ?? {};
  },
  report: () => app.report(),
});

main();
