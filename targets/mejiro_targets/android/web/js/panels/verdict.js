/** Say whether the model gives here what it gave when it was evaluated. */

import { find, setText } from "../dom.js";

/**
 * Return a difference as `mejiro_runtime.verify` words it.
 * @param {{stage: string, frame: number, values: number, total: number, max_abs: number,
 *   detail: string}} difference
 * @param {import("../words.js").Words} words
 */
export function sentence(difference, words) {
  if (difference.stage === "label") return words.of("differsLabel", difference);
  return words.of("differs", {
    ...difference,
    stage: words.of(`stage_${difference.stage}`),
    largest: general(difference.max_abs),
  });
}

/** Write a number as Python's `.6g` does. */
function general(value) {
  if (value === 0) return "0";
  const [digits, exponent] = sixDigits(value).split("e");
  const power = Number(exponent);
  if (power >= -4 && power < 6) return String(Number(`${digits}e${exponent}`));
  const padded = exponent.replace(/^([+-])(\d)$/, "$10$2");
  return `${Number(digits)}e${padded}`;
}

/** Round to six digits, a half to the even one, where JavaScript takes the larger. */
function sixDigits(value) {
  const [digits, exponent] = value.toExponential(80).split("e");
  const half = /^50*$/.test(digits.slice(7)) && Number(digits[6]) % 2 === 0;
  return half ? `${digits.slice(0, 7)}e${exponent}` : value.toExponential(5);
}

/**
 * Write the verification's part of the latency sheet.
 * @param {object|null} verification what `model.verify` gave
 * @param {import("../words.js").Words} words
 */
export function showVerdict(verification, words) {
  const kind = verification === null ? "never" : verification.passed ? "passed" : "failed";
  find("verdict").dataset.kind = kind;
  setText(find("verdict"), words.of(`verdict_${kind}`));
  setText(find("verdict-detail"), detail(verification, words));
}

function detail(verification, words) {
  if (verification === null) return "";
  if (!verification.passed) return sentence(verification.difference, words);
  return words.of("passedDetail", {
    frames: verification.frames,
    largest: Number(verification.largest_output).toFixed(6),
    tolerance: Number(verification.tolerance).toFixed(6),
  });
}
