/** Find, make and fill elements; text is only ever set as text. */

/** @param {string} id */
export function find(id) {
  return document.getElementById(id);
}

/**
 * @param {string} tag
 * @param {string} [text]
 * @param {string} [className]
 */
export function make(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

/** Set a text only where it changes: screen readers and layout are spared the rest. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Return a `div` of a definition list.
 * @param {string} name
 * @param {string} value
 * @param {string} [unit]
 */
export function pair(name, value, unit = "") {
  const box = make("div");
  const shown = make("dd", value);
  if (unit) shown.append(make("small", unit));
  box.append(make("dt", name), shown);
  return box;
}

/**
 * Fill a `select`, keeping what is chosen where it is still there.
 * @param {HTMLSelectElement} select
 * @param {[string, string][]} options values and what is shown for them
 * @param {string} chosen
 */
export function fillSelect(select, options, chosen) {
  const same =
    select.options.length === options.length &&
    options.every(
      ([value, text], place) =>
        select.options[place].value === value && select.options[place].text === text,
    );
  if (!same) {
    select.replaceChildren(
      ...options.map(([value, text]) => {
        const option = make("option", text);
        option.value = value;
        return option;
      }),
    );
  }
  select.value = options.some(([value]) => value === chosen) ? chosen : (options[0]?.[0] ?? "");
}
