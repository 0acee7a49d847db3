/** Fill the settings sheet, and hand on what the user chooses. */

import { fillSelect, find, make, pair, setText } from "../dom.js";
import { counted } from "../figures.js";
import { CHOICES } from "../memory.js";
import { listCameras } from "../sources/camera.js";

const TOPS = [1, 2, 3, 5];
const THREADS = [1, 2, 3, 4, 6, 8];

/** Write all that may change: names of cameras, what was got, what can be chosen at all. */
export async function showSettings({ app, words, whole, webgpu }) {
  const { settings } = app;
  showCameras(app, words, await listCameras());
  const size = app.source?.kind === "camera" ? app.source.size : null;
  const got = size && words.of("resolutionGot", { size: `${size.width}×${size.height}` });
  setText(document.querySelector("label[for=resolution] span"), got ?? words.of("resolution"));
  const sizes = CHOICES.resolution.map((one) => [one, one.replace("x", "×")]);
  fillSelect(find("resolution"), sizes, settings.get("resolution"));
  find("region").checked = settings.get("region");
  find("awake").checked = settings.get("awake");
  find("language").value = words.language;
  if (app.site) showSite(app, words, { whole, webgpu });
}

function showCameras(app, words, cameras) {
  const named = cameras.map(([id, label], place) => [
    id,
    label || words.of("cameraNumber", { number: place + 1 }),
  ]);
  fillSelect(
    find("camera"),
    [["", words.of("cameraDefault")], ...named],
    app.settings.get("camera"),
  );
}

function showSite(app, words, { whole, webgpu }) {
  const { site, settings, entry } = app;
  find("model-row").hidden = site.models.length < 2;
  fillSelect(
    find("model"),
    site.models.map((one, place) => [String(place), one.card.file]),
    String(site.models.indexOf(entry)),
  );
  showComputing(app, words, webgpu);
  showLicences(app);
  const { task, detection } = entry.card.output;
  find("top-row").hidden = task === "segmentation";
  fillSelect(
    find("top"),
    TOPS.map((one) => [String(one), String(one)]),
    String(settings.get("top")),
  );
  find("threshold-row").hidden = task !== "detection";
  const threshold = settings.get("threshold") ?? detection?.threshold ?? 0.5;
  find("threshold").value = String(threshold);
  setText(find("threshold-value"), `${Math.round(100 * threshold)} %`);
  find("facts").replaceChildren(
    pair(words.of("bundle"), site.title ?? site.name),
    pair(words.of("version"), site.version),
    pair(words.of("madeBy"), site.made_by ?? ""),
    pair(words.of("file"), entry.card.file),
    pair(words.of("classes"), counted(entry.card.labels?.length ?? 0)),
    pair(words.of("offline"), words.of(whole ? "offlineYes" : "offlineNo")),
  );
}

/** Link the licences of what the site holds; once, so that a link that has the focus keeps it. */
function showLicences({ site }) {
  const list = find("licences");
  if (list.children.length) return;
  list.replaceChildren(
    ...Object.keys(site.files)
      .filter((path) => path.startsWith("LICENSES/"))
      .map((path) => {
        const item = make("li");
        const link = make("a", path.slice("LICENSES/".length));
        link.href = path;
        link.target = "_blank";
        link.rel = "noopener";
        item.append(link);
        return item;
      }),
  );
}

function showComputing({ parameters, settings }, words, webgpu) {
  const backends = CHOICES.backend.map((name) => {
    const missing = name === "webgpu" && !webgpu;
    return [name, words.of(missing ? "webgpuMissing" : `backend_${name}`)];
  });
  fillSelect(find("backend"), backends, parameters.backend ?? settings.get("backend"));
  const most = window.crossOriginIsolated ? Math.max(1, navigator.hardwareConcurrency ?? 1) : 1;
  const numbers = THREADS.filter((one) => one <= most).map((one) => [String(one), String(one)]);
  fillSelect(
    find("threads"),
    [["auto", words.of("auto")], ...numbers],
    String(parameters.threads ?? settings.get("threads")),
  );
  setText(find("threads-about"), window.crossOriginIsolated ? "" : words.of("notIsolated"));
}

/**
 * Hand on what the user changes.
 * @param {{settings: import("../memory.js").Settings, onCamera: () => void, onModel: () => void,
 *   onShowing: () => void, onLanguage: (language: string) => void}} parts
 */
export function listenToSettings({ settings, onCamera, onModel, onShowing, onLanguage }) {
  const on = (id, event, act) => find(id).addEventListener(event, () => act(find(id)));
  const keep = (id, read, then) =>
    on(id, "change", (element) => {
      settings.set(id, read(element));
      then(id);
    });
  keep("camera", ({ value }) => value, onCamera);
  keep("resolution", ({ value }) => value, onCamera);
  keep(
    "model",
    ({ value }) => Number(value),
    () => {
      settings.set("threshold", null); // it was for the other model's scores
      onModel();
    },
  );
  keep("backend", ({ value }) => value, onModel);
  keep("threads", ({ value }) => value, onModel);
  keep("top", ({ value }) => Number(value), onShowing);
  keep("region", ({ checked }) => checked, onShowing);
  keep("awake", ({ checked }) => checked, onShowing);
  on("threshold", "input", ({ value }) => {
    settings.set("threshold", Number(value));
    setText(find("threshold-value"), `${Math.round(100 * value)} %`);
  });
  on("threshold", "change", onShowing);
  on("language", "change", ({ value }) => onLanguage(value));
}
