/** The report's buttons, and the report that a page makes by itself. */

import { find, setText } from "../dom.js";
import { hostTakesReports, sendReport, shareReport, textOf } from "../host.js";
import { notice } from "./notices.js";
import { sentence } from "./verdict.js";

/** @param {{app: import("../app.js").App, words: import("../words.js").Words}} parts */
export function prepareReports({ app, words }) {
  const say = (text) => setText(find("report-state"), text);
  const guarded = (act) => async () => {
    const report = app.report();
    if (!report) return;
    try {
      await act(report);
    } catch (error) {
      say(words.of("reportFailed", { reason: error.message }));
    }
  };
  find("share-report").addEventListener(
    "click",
    guarded(async (report) => {
      const { how, name } = await shareReport(report);
      if (how === "cancelled") return;
      say(words.of(how === "shared" ? "reportShared" : "reportDownloaded", { name }));
    }),
  );
  // An app's WebView can neither share nor download.
  find("copy-report").addEventListener(
    "click",
    guarded(async (report) => {
      await navigator.clipboard.writeText(textOf(report));
      say(words.of("reportCopied"));
    }),
  );
  find("send-report").addEventListener(
    "click",
    guarded(async (report) => {
      say(words.of("reportSaved", { name: await sendReport(app.site.base, report) }));
    }),
  );
}

/** Offer to send where the host takes reports; asked once, when the sheet opens. */
export function hostAsker(app) {
  let asked = null;
  return async () => {
    asked ??= hostTakesReports(app.site.base);
    find("send-report").hidden = !(await asked);
  };
}

/** Allow the buttons once there is something to report. */
export function showReports(app) {
  const empty = !app.run?.recorder.count;
  for (const id of ["share-report", "copy-report", "send-report"]) find(id).disabled = empty;
}

/**
 * Measure so many frames and post the report, as `mejiro deploy` asks for; whatever hinders it is
 * posted in its place.
 * @param {{app: import("../app.js").App, words: import("../words.js").Words,
 *   start: () => void}} parts `start` starts the source that the address names
 */
export function measureByItself({ app, words, start }) {
  let finished = false;
  const { frames } = app.parameters;
  const end = async (report) => {
    if (finished) return;
    finished = true;
    notice("auto", "");
    try {
      const name = await sendReport(app.site?.base ?? document.baseURI, report);
      notice("auto", words.of(report.error ? "reportSaved" : "autoDone", { name }));
    } catch (error) {
      notice("auto", words.of("reportFailed", { reason: error.message }), { kind: "bad" });
    }
  };
  const error = (text) =>
    end({ kind: "browser", error: text.replace(/\s+/g, " "), site: app.site?.version ?? null });
  app.addEventListener("problem", ({ detail }) =>
    error(words.of(`problem_${detail.code}`, detail.values)),
  );
  app.addEventListener("verification", () => {
    const { verification } = app;
    if (!verification.passed)
      error(`verification failed: ${sentence(verification.difference, words)}`);
  });
  app.addEventListener("frame", async () => {
    const { count } = app.run.recorder;
    if (finished) return;
    if (count < frames) {
      if (count % Math.max(10, Math.floor(frames / 5)) === 0)
        notice("auto", words.of("autoRunning", { done: count, total: frames }));
      return;
    }
    app.run.stop();
    notice("auto", words.of("autoRunning", { done: count, total: frames }));
    await app.readTelemetry({ thorough: true });
    const report = app.report();
    app.stop();
    await end(report);
  });
  start();
}
