/** Remember what the user chose; where the browser keeps nothing, for this visit only. */

const PREFIX = "mejiro.";
const DEFAULTS = {
  source: "",
  camera: "",
  resolution: "1280x720",
  model: 0,
  backend: "wasm",
  threads: "auto",
  top: 3,
  threshold: null,
  region: true,
  awake: true,
  language: "",
};
/** What may be chosen, where that is a list; of a resolution a camera gives the nearest it has. */
export const CHOICES = {
  resolution: ["640x480", "1280x720", "1920x1080"],
  backend: ["wasm", "webgpu"],
  language: ["", "en", "ja"],
};

/** Read a JSON value that was kept under `name`; null if there is none that can be read. */
export function recall(name) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name));
  } catch {
    return null;
  }
}

/** Keep a JSON value under `name`; a full or forbidden store loses it, and nothing else. */
export function remember(name, value) {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    /* this visit still has it */
  }
}

/** Hold the settings; each change is kept. */
export class Settings {
  constructor() {
    const kept = recall("settings");
    this._values = { ...DEFAULTS };
    for (const [name, value] of Object.entries(kept && typeof kept === "object" ? kept : {})) {
      if (fits(name, value)) this._values[name] = value;
    }
  }

  get(name) {
    return this._values[name];
  }

  set(name, value) {
    this._values[name] = value;
    remember("settings", this._values);
  }
}

function fits(name, value) {
  if (!Object.hasOwn(DEFAULTS, name)) return false;
  const standard = DEFAULTS[name];
  if (CHOICES[name]) return CHOICES[name].includes(value);
  if (standard === null) return value === null || typeof value === "number";
  return typeof value === typeof standard;
}
