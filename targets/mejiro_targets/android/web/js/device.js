/** Tell what the browser says of its device, for reports; nothing that names a person. */

/**
 * @returns {Promise<object>} `board` is the phone's model where the browser tells it
 */
export async function describeDevice() {
  const hints = await highEntropy();
  const platform = [hints.platform ?? navigator.platform, hints.platformVersion]
    .filter(Boolean)
    .join(" ");
  return {
    board: hints.model || platform || "unknown device",
    platform,
    browser: browserName(),
    cores: navigator.hardwareConcurrency ?? 1,
    memory_gib: navigator.deviceMemory ?? null,
    screen: `${screen.width}x${screen.height} at ${window.devicePixelRatio}`,
  };
}

async function highEntropy() {
  try {
    return await navigator.userAgentData.getHighEntropyValues([
      "model",
      "platform",
      "platformVersion",
    ]);
  } catch {
    return {};
  }
}

let adapter = null;

/** Whether this browser has a GPU for pages; asked once. */
export function hasWebGpu() {
  adapter ??= Promise.resolve(navigator.gpu?.requestAdapter()).then(Boolean, () => false);
  return adapter;
}

/** Name the browser and its major version. */
export function browserName() {
  const brands = navigator.userAgentData?.brands ?? [];
  const real = brands.filter(({ brand }) => !/not.?a.?brand/i.test(brand.replace(/[^a-z]/gi, "")));
  const best = real.find(({ brand }) => brand !== "Chromium") ?? real[0];
  if (best) return `${best.brand} ${best.version}`;
  const found = /(Firefox|Edg|Chrome|Version)\/([0-9]+)/.exec(navigator.userAgent);
  if (!found) return "unknown browser";
  return `${{ Version: "Safari", Edg: "Edge" }[found[1]] ?? found[1]} ${found[2]}`;
}
