/** Write figures as the runtime's live page does. */

/** @param {number} ns */
export function ms(ns) {
  const value = ns / 1e6;
  return value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0);
}

/** @param {number} share 0..1 */
export function percent(share) {
  if (share < 0.0005) return "< 0.1 %";
  return `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;
}

/** @param {number} value */
export function counted(value) {
  return value.toLocaleString("en").replaceAll(",", "\u202f");
}

/** @param {number} bytes */
export function megabytes(bytes) {
  const value = bytes / 1e6;
  return value < 10 ? value.toFixed(1) : value.toFixed(0);
}

/** Return the first of the names that a synset lists, as `mejiro_runtime.types.Label.short`. */
export function short(name) {
  return name.split(",")[0].trim();
}
