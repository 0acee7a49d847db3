/** Show the app's state on the first screen, in the bar and at the buttons. */

import { find, setText } from "../dom.js";
import { notice } from "./notices.js";
import { sentence, showVerdict } from "./verdict.js";

const STEPS = {
  engine: "loadingEngine",
  model: "loadingModel",
  compile: "loadingCompile",
  first: "loadingFirst",
};
const ORDER = ["engine", "model", "compile", "first", "verify"];
const STARTERS = [
  "start-camera",
  "start-file",
  "start-golden",
  "use-camera",
  "use-file",
  "use-golden",
];

/** Hold what the screen shows of an app. */
export class Screen {
  /** @param {import("../app.js").App} app */
  constructor(app, words) {
    this._app = app;
    this._words = words;
    this._problem = null;
    this._seen = false; // a picture was shown, and its last frame still is
    app.addEventListener("state", () => this.show());
    app.addEventListener("model", () => this.show());
    app.addEventListener("verification", () => this.show());
    app.addEventListener("source", () => this._sourceChanged());
    app.addEventListener("progress", ({ detail }) => this._showProgress(detail));
    app.addEventListener("problem", ({ detail }) => {
      this._problem = detail;
      this.show();
    });
  }

  _sourceChanged() {
    if (this._app.source) this._seen = true;
    this.show();
  }

  show() {
    const { _app: app, _words: words } = this;
    const { state } = app;
    if (state !== "error") this._problem = null;
    find("state").dataset.kind = app.opening ? "opening" : state;
    setText(find("state"), words.of(app.opening ? "state_opening" : `state_${state}`));
    find("start-camera").setAttribute("aria-busy", String(app.opening));
    const live = Boolean(app.source) || state === "running" || state === "stopped";
    const welcome = find("welcome");
    welcome.hidden = live && !this._doubt();
    welcome.classList.toggle("over", this._seen);
    find("controls").hidden = !app.site || !welcome.hidden;
    find("loading").hidden = state !== "loading";
    find("welcome-about").hidden = Boolean(this._problem) || this._doubt();
    find("toggle").setAttribute("aria-label", words.of(app.running ? "stop" : "start"));
    const able = app.model !== null && app.trusted && state !== "loading";
    for (const id of STARTERS) find(id).disabled = !able;
    find("verify").disabled = app.model === null || state === "loading";
    this._showNames();
    this._showProblem();
    this._showTorch();
    showVerdict(app.verification, words);
  }

  /** Whether the model failed its verification and the user has not said to run it. */
  _doubt() {
    const { model, verification, trusted } = this._app;
    return model !== null && verification !== null && !trusted;
  }

  _showNames() {
    const { site, model } = this._app;
    if (!site) return;
    const title = site.title ?? site.name;
    setText(find("title"), title);
    setText(find("welcome-title"), title);
    document.title = title === "Mejiro" ? title : `${title} · Mejiro`;
    if (!model) return;
    const { engine, version, backend } = model.info;
    setText(
      find("about"),
      [model.card.file, `${engine} ${version}`, this._words.of(`backend_${backend}`)].join(" · "),
    );
  }

  _showProblem() {
    const { _app: app, _words: words } = this;
    const box = find("problem");
    let text = "";
    if (this._doubt())
      text = words.of("failedNotice", { difference: sentence(app.verification.difference, words) });
    else if (this._problem) text = words.of(`problem_${this._problem.code}`, this._problem.values);
    box.hidden = !text;
    setText(box, text);
    find("run-anyway").hidden = !this._doubt();
    const failed = app.verification && !app.verification.passed && app.trusted;
    notice(
      "failed",
      failed
        ? words.of("failedNotice", { difference: sentence(app.verification.difference, words) })
        : "",
      { kind: "bad" },
    );
    const { fallback } = app.model?.info ?? {};
    notice("fallback", fallback ? words.of("fallback", { reason: fallback }) : "", {
      kind: "warn",
    });
  }

  _showTorch() {
    const { source } = this._app;
    const camera = source?.kind === "camera" ? source : null;
    find("torch").hidden = !camera?.hasTorch;
    find("torch").setAttribute("aria-pressed", String(camera?.torchOn ?? false));
  }

  _showProgress({ stage, done, total }) {
    const part = total ? Math.min(1, done / total) : 0;
    const share = Math.round((100 * (Math.max(0, ORDER.indexOf(stage)) + part)) / ORDER.length);
    const meter = find("progress");
    meter.setAttribute("aria-valuenow", String(share));
    meter.querySelector("i").style.width = `${share}%`;
    const text =
      stage === "verify"
        ? this._words.of("verifying", { done, total })
        : this._words.of(STEPS[stage] ?? "loading");
    setText(find("loading-text"), text);
  }
}
