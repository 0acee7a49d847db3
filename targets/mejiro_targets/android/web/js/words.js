/** Say everything in the reader's language, and change it while the page is open. */

import english from "./words/en.js";
import japanese from "./words/ja.js";

export const LANGUAGES = { en: english, ja: japanese };

/**
 * Return the first of the wished languages that there is; English where there is none.
 * @param {(string|null|undefined)[]} wished tags as "ja" or "en-GB", the most wished first
 */
export function chooseLanguage(wished) {
  const tags = wished.filter(Boolean).map((tag) => tag.toLowerCase().split("-")[0]);
  return tags.find((tag) => Object.hasOwn(LANGUAGES, tag)) ?? "en";
}

export class Words {
  /** @param {string} language a key of LANGUAGES */
  constructor(language) {
    this.language = language;
  }

  /**
   * Return the text called `name`, with its values filled in.
   * @param {string} name
   * @param {Object<string, unknown>} [values]
   */
  of(name, values = {}) {
    const text = LANGUAGES[this.language][name] ?? english[name] ?? name;
    return text.replace(/\{(\w+)\}/g, (whole, key) =>
      key in values ? String(values[key]) : whole,
    );
  }

  /**
   * Write the fixed texts and accessible names of `root` in this language.
   * @param {Document} root
   */
  translate(root) {
    root.documentElement.lang = this.language;
    for (const element of root.querySelectorAll("[data-words]")) {
      element.textContent = this.of(element.dataset.words);
    }
    for (const element of root.querySelectorAll("[data-label]")) {
      element.setAttribute("aria-label", this.of(element.dataset.label));
    }
  }
}
