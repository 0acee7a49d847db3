/** Hold the app: the site, its open model, the source and the run; the panels only show it. */

import { openModel } from "./core/client.js";
import { makeReport } from "./core/report.js";
import { describeDevice } from "./device.js";
import { Run } from "./loop.js";
import { Telemetry } from "./telemetry.js";
import { rememberVerification, rememberedVerification } from "./trust.js";
import { openCamera } from "./sources/camera.js";
import { openFile } from "./sources/file.js";
import { openGolden } from "./sources/golden.js";
import { SourceError } from "./sources/problem.js";

const WARMUP = 5;
const AUTO_WARMUP = 10;

/**
 * Events: "state", "model", "progress", "verification", "source", "frame" and "problem"; what is
 * new stands in the properties, and of "progress" and "problem" in `detail`.
 */
export class App extends EventTarget {
  /**
   * @param {{settings: import("./memory.js").Settings,
   *   parameters: import("./parameters.js").Parameters,
   *   stage: import("./draw/stage.js").Stage}} parts
   */
  constructor({ settings, parameters, stage }) {
    super();
    this.settings = settings;
    this.parameters = parameters;
    this.stage = stage;
    this.telemetry = new Telemetry();
    this.site = null;
    this.model = null;
    this.verification = null;
    this.source = null;
    this.run = null;
    this.results = null;
    this.kind = "";
    this.file = null;
    this._device = null;
    /** Whether a source is being opened: the browser may be asking the user. */
    this.opening = false;
    this._attempt = 0;
    this._turn = Promise.resolve();
    this._opening = Promise.resolve();
    this._accepted = false;
    this._choice = 0;
    this.setState("loading");
  }

  get state() {
    return document.documentElement.dataset.state;
  }

  setState(state) {
    document.documentElement.dataset.state = state;
    this._tell("state");
  }

  /** The site's entry for the model that is chosen. */
  get entry() {
    const { models } = this.site;
    return models[this.settings.get("model")] ?? models[0];
  }

  get running() {
    return this.state === "running";
  }

  /** Open the model as the settings say, verify it if that is new, and be ready. */
  async open() {
    this.stop();
    this.model?.close();
    this.model = null;
    this.verification = null;
    this._accepted = false;
    this.setState("loading");
    if (!(await this._openModel())) return false;
    this._tell("model");
    const known = this.parameters.auto ? null : rememberedVerification(this.site, this.model);
    if (known) this._verified(known);
    else await this.verify();
    if (this.state !== "loading") return false;
    this.setState("ready");
    return this.trusted;
  }

  /** Open what is chosen; false if that fails, which is told, or if something else is by now. */
  async _openModel() {
    this._choice += 1;
    const choice = this._choice;
    this._device ??= await describeDevice();
    try {
      const model = await openModel(this._wanted());
      if (choice === this._choice) this.model = model;
      else model.close();
    } catch (error) {
      if (choice === this._choice) this.fail("model", { reason: error.message });
    }
    return choice === this._choice && this.model !== null;
  }

  _wanted() {
    const { backend, threads, auto } = this.parameters;
    const kept = this.settings.get("threads");
    return {
      site: this.site,
      index: this.site.models.indexOf(this.entry),
      backend: backend ?? this.settings.get("backend"),
      threads: threads ?? (kept === "auto" ? kept : Number(kept)),
      // A measurement is of what was asked for; a person gets the next best, and is told.
      allowFallback: !auto,
      onProgress: (step) => this._tell("progress", step),
    };
  }

  /** Whether the model may run: it gave the golden answers here, or the user said so. */
  get trusted() {
    return this.verification?.passed === true || this._accepted;
  }

  /** Let a model run that failed its verification; the report says so. */
  accept() {
    this._accepted = true;
    this._tell("verification");
  }

  /** Replay the golden frames, between two frames of a run. */
  async verify() {
    const { model } = this;
    const onFrame = (done, total) => this._tell("progress", { stage: "verify", done, total });
    try {
      const found = await this.ask(() => model.verify({ onFrame }));
      rememberVerification(this.site, model, found);
      this._verified(found);
    } catch (error) {
      this.fail("verify", { reason: error.message });
    }
  }

  _verified(found) {
    this.verification = found;
    if (!this.trusted) this.stop();
    this._tell("verification");
  }

  /** Wait for a turn with the model, which does one thing at a time. */
  ask(task) {
    const result = this._turn.then(task);
    this._turn = result.catch(() => {});
    return result;
  }

  /**
   * Open a source and run the model over it. `ready` is awaited before the first frame, so that a
   * camera may open while the model loads; false keeps the model from running.
   * @param {"camera"|"file"|"golden"} kind
   * @param {Promise<boolean>} [ready]
   */
  async start(kind, ready = Promise.resolve(this.trusted)) {
    this.stop();
    const attempt = this._attempt;
    // One after the other: two cameras would fight for the one element that shows them.
    const opening = this._opening.then(() => this._openFor(kind, attempt));
    this._opening = opening;
    this._setOpening(true);
    const source = await opening;
    if (attempt !== this._attempt) {
      source?.stop();
      return;
    }
    this._setOpening(false);
    this.source = source;
    this.results = null;
    this.kind = kind;
    source.onLost = () => this.fail("lost");
    this.stage.show(source, this.entry.card.input);
    this._tell("source");
    const allowed = await ready;
    if (this.source !== source) return;
    if (allowed) this._begin();
    else this._drop();
  }

  _setOpening(opening) {
    this.opening = opening;
    this._tell("state");
  }

  /** Open a source; null if that failed, which is told, or is not wanted any more. */
  async _openFor(kind, attempt) {
    if (attempt !== this._attempt) return null;
    try {
      const source = await this._openSource(kind);
      if (attempt === this._attempt) return source;
      source.stop();
    } catch (error) {
      if (attempt !== this._attempt) return null;
      if (error instanceof SourceError) this.fail(error.code, error.values);
      else this.fail("site", { reason: error.message });
    }
    return null;
  }

  _openSource(kind) {
    const { video, still } = this.stage;
    if (kind === "golden") return openGolden(this.site, this.entry, still);
    if (kind === "file") return openFile(this.file, { video, still });
    return openCamera(video, {
      camera: this.settings.get("camera"),
      resolution: this.settings.get("resolution"),
    });
  }

  _begin() {
    const { model, source } = this;
    const run = new Run({
      model: { run: (image, options) => this.ask(() => model.run(image, options)) },
      source,
      options: () => ({ top: 5, threshold: this.settings.get("threshold") }),
      show: (result, frame) => this._show(result, frame),
      warmup: this._warmup,
    });
    run.onFrame = () => this._tell("frame");
    this.run = run;
    // Another source is another stream; its turn comes before the first frame's.
    if (model.card.state?.length) this.ask(() => model.reset()).catch(() => {});
    this.telemetry.reset();
    this.setState("running");
    run.go().then(
      () => {
        if (this.run === run && this.running) this.setState("stopped");
      },
      (error) => {
        if (this.run === run && this.running) this.fail("run", { reason: error.message });
      },
    );
  }

  get _warmup() {
    if (this.parameters.auto) return AUTO_WARMUP;
    return this.source.live ? WARMUP : 0;
  }

  _show(result, frame) {
    this.results = result;
    if (this.source.show(frame) === false) return;
    this.stage.draw(result);
    this._tell("result");
  }

  /** End the run and give the source back; the last picture stays. */
  stop() {
    this._attempt += 1;
    this.opening = false;
    this.run?.stop();
    if (!this.source) return;
    this.stage.freeze();
    this._drop();
    if (this.running) this.setState("stopped");
  }

  _drop() {
    this.source?.stop();
    this.source = null;
    this._tell("source");
  }

  /**
   * Stop, and say why.
   * @param {string} code a `problem_…` of the words
   * @param {Object<string, string>} [values]
   */
  fail(code, values = {}) {
    this.stop();
    this.setState("error");
    this._tell("problem", { code, values });
  }

  /**
   * Read memory and battery anew.
   * @param {{thorough?: boolean}} [options] waits for what takes seconds
   */
  readTelemetry(options) {
    const { model } = this;
    return this.telemetry.read(
      async () => (model ? this.ask(() => model.memory()) : null),
      options,
    );
  }

  /** Return the report of the present or last run; null before its first frame. */
  report() {
    if (!this.run?.recorder.count || !this.model) return null;
    const verification = this.verification && { ...this.verification };
    if (verification && !verification.passed) verification.accepted_by_user = this._accepted;
    return makeReport({
      site: this.site,
      model: this.model,
      recorder: this.run.recorder,
      dropped: this.run.dropped,
      elapsed_ns: this.run.elapsed_ns,
      device: this._device,
      telemetry: this.telemetry.values,
      verification,
      source: this.run.description,
    });
  }

  _tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
