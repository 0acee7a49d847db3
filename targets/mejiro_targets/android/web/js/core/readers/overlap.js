/** Compare boxes: how much they overlap, which of several to keep, which are the same. */

/** Return the area of a box: left, top, right, bottom. */
export function area(box) {
  return Math.max(box[2] - box[0], 0) * Math.max(box[3] - box[1], 0);
}

/** Return the intersection over union of two boxes; 0 where both are empty. */
export function overlap(one, other) {
  const width = Math.max(Math.min(one[2], other[2]) - Math.max(one[0], other[0]), 0);
  const height = Math.max(Math.min(one[3], other[3]) - Math.max(one[1], other[1]), 0);
  const shared = width * height;
  const union = area(one) + area(other) - shared;
  return union > 0 ? shared / union : 0;
}

/** Return the places of values from the largest on; of equals the earlier one first. */
export function descending(values) {
  return Array.from(values, (_, place) => place).sort((a, b) => values[b] - values[a] || a - b);
}

/**
 * Return which boxes stay, best first. A box goes if it overlaps by more than `iou` with a better
 * one of its class that stays; at most `most` stay.
 */
export function suppress(boxes, scores, classes, { iou, most }) {
  let left = descending(scores);
  const kept = [];
  while (left.length && kept.length < most) {
    const [best, ...others] = left;
    kept.push(best);
    left = others.filter(
      (place) => !(classes[place] === classes[best] && overlap(boxes[best], boxes[place]) > iou),
    );
  }
  return kept;
}

/**
 * Pair rows of the same class, those that overlap most first: class, score, left, top, right,
 * bottom. Boxes that do not overlap are no pair.
 */
export function match(one, other) {
  const found = [];
  one.forEach((row, index) => {
    other.forEach((partner, place) => {
      const share = overlap(row.slice(2), partner.slice(2));
      if (partner[0] === row[0] && share > 0) found.push([share, index, place]);
    });
  });
  found.sort((a, b) => b[0] - a[0] || a[1] - b[1] || a[2] - b[2]);
  const ones = new Set(one.keys());
  const others = new Set(other.keys());
  const pairs = [];
  for (const [share, index, place] of found) {
    if (!ones.has(index) || !others.has(place)) continue;
    ones.delete(index);
    others.delete(place);
    pairs.push([index, place, share]);
  }
  return { pairs, onlyOne: [...ones], onlyOther: [...others] };
}
