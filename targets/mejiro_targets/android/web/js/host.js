/** Bring a report to the host that served the page, or to wherever the user shares it. */

/**
 * Ask whether the host takes reports.
 * @param {string} base
 * @returns {Promise<boolean>}
 */
export async function hostTakesReports(base) {
  try {
    const answer = await fetch(new URL("api/host", base), { cache: "no-store" });
    return answer.ok && (await answer.json()).reports === true;
  } catch {
    return false;
  }
}

/**
 * Post a report; resolves to the name it was saved under, rejects with one line.
 * @param {string} base
 * @param {object} report
 */
export async function sendReport(base, report) {
  const answer = await fetch(new URL("api/reports", base), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(report),
  });
  const said = await answer.json().catch(() => ({}));
  if (answer.status !== 201)
    throw new Error(said.error ?? `${answer.status} ${answer.statusText}`.trim());
  return said.saved;
}

/** Write a report as the files that hold it do. */
export function textOf(report) {
  return `${JSON.stringify(report, null, 2)}\n`;
}

/**
 * Share a report as a file where the browser can, else download it.
 * @param {object} report
 * @returns {Promise<{how: "shared"|"downloaded"|"cancelled", name: string}>}
 */
export async function shareReport(report) {
  const text = textOf(report);
  const name = `mejiro-${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}.json`;
  // Browsers share text files, and some no JSON.
  const files = [
    new File([text], name, { type: "application/json" }),
    new File([text], `${name}.txt`, { type: "text/plain" }),
  ];
  const file = files.find((one) => navigator.canShare?.({ files: [one] }));
  if (file) {
    try {
      await navigator.share({ files: [file] });
      return { how: "shared", name: file.name };
    } catch (error) {
      if (error.name === "AbortError") return { how: "cancelled", name: file.name };
    }
  }
  download(files[0]);
  return { how: "downloaded", name };
}

function download(file) {
  const url = URL.createObjectURL(file);
  const link = document.createElement("a");
  link.href = url;
  link.download = file.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}
