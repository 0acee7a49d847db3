/** Return the first of the names that a synset lists. */
export function short(label) {
  return label.name.split(",")[0].trim();
}
