/**
 * Give a recurrent model its own outputs back with the next picture of a stream, as
 * `mejiro_runtime.recurrence` does.
 */

import { SiteError } from "./errors.js";

const ARRAYS = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array, int8: Int8Array };

/** Return what an input of state is given at the start of a stream: what stands for zero. */
function zero({ shape, dtype, quantization }) {
  const length = shape.reduce((total, size) => total * size, 1);
  return new ARRAYS[dtype](length).fill(quantization?.zero_point ?? 0);
}

/** Return those of the outputs that are not given back: what there is to read. */
export function answersOf(card, outputs, names = outputs.map((output) => output.name)) {
  const kept = new Set((card.state ?? []).map((link) => link.output));
  return outputs.filter((_, place) => !kept.has(names[place]));
}

/** Hold what the inputs beside the picture are given next. Models without state have none. */
export class Memory {
  /**
   * @param {object} entry the model's entry in site.json
   * @param {{run: (tensors: ArrayLike<number>[]) => Promise<ArrayLike<number>[]>}} backend
   */
  constructor(entry, backend) {
    const { card, inputs, outputs } = entry;
    const links = card.state ?? [];
    this._card = card;
    this._backend = backend;
    this._inputs = inputs;
    this._names = outputs.map((output) => output.name);
    const named = new Set(links.map((link) => link.input));
    this._picture = inputs.findIndex((input) => !named.has(input.name));
    this._links = links.map(({ input, output }) => [
      inputs.findIndex((one) => one.name === input),
      this._names.indexOf(output),
    ]);
    if (inputs.length !== links.length + 1 || this._links.flat().includes(-1)) {
      throw new SiteError("model", `${entry.file} does not have the inputs of its card`);
    }
    this.reset();
  }

  /** Begin a stream anew: every input of state stands for zero. */
  reset() {
    this._tensors = this._inputs.map((input) => zero(input));
  }

  /** Return the outputs for one picture, but those of state: they are given back later. */
  async run(tensor) {
    this._tensors[this._picture] = tensor;
    const outputs = await this._backend.run(this._tensors);
    for (const [given, made] of this._links) this._tensors[given] = outputs[made];
    return answersOf(this._card, outputs, this._names);
  }
}
