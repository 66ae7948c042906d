// Pictures of 8 x 8 numbers from 0 to 1 with the kind of each: digits of others, and what has been drawn on the page.

export const SIDE = 8, PIXELS = SIDE * SIDE;

/** Every fourth picture of a file of digits is held out; gives [those to learn from, those held out]. */
export function divided({ image, label }) {
  const parts = [[], []];
  for (let i = 0; i < label.data.length; i++) {
    const pixels = Float32Array.from(image.data.subarray(i * PIXELS, (i + 1) * PIXELS), (value) => value / 16);
    parts[i % 4 === 3 ? 1 : 0].push({ pixels, kind: label.data[i], own: false });
  }
  return parts;
}

/**
 * `rows` random pairs, every second one of two pictures of one kind: `{ left, right, same }`, flat. All kinds are equally
 * likely, and of a kind that has been drawn, what was drawn is as likely as what was there before.
 */
export function pairs(examples, rows) {
  const kinds = [...byKind(examples).values()];
  const batch = {
    left: new Float32Array(rows * PIXELS), right: new Float32Array(rows * PIXELS), same: new Float32Array(rows),
  };
  for (let row = 0; row < rows; row++) {
    const first = any(kinds);
    const second = row % 2 ? first : any(kinds.filter((kind) => kind !== first));
    batch.left.set(shown(first), row * PIXELS);
    batch.right.set(shown(second), row * PIXELS);
    batch.same[row] = row % 2;
  }
  return batch;
}

/** The pictures of each kind, by kind. */
export function byKind(examples) {
  const kinds = new Map();
  for (const example of examples) {
    if (!kinds.has(example.kind)) kinds.set(example.kind, []);
    kinds.get(example.kind).push(example);
  }
  return kinds;
}

/** Pictures one behind the other, as a batch wants them. */
export function stacked(examples) {
  const all = new Float32Array(examples.length * PIXELS);
  examples.forEach(({ pixels }, i) => all.set(pixels, i * PIXELS));
  return all;
}

function shown(examples) {
  const own = examples.filter((example) => example.own);
  const example = any(own.length && Math.random() < 0.5 ? own : examples);
  return example.own ? moved(example.pixels, any([-1, 0, 1]), any([-1, 0, 1])) : example.pixels;
}

/** There are few drawn ones: moved by a pixel they are several. */
function moved(pixels, right, down) {
  const result = new Float32Array(PIXELS);
  for (let y = Math.max(0, down); y < Math.min(SIDE, SIDE + down); y++) {
    for (let x = Math.max(0, right); x < Math.min(SIDE, SIDE + right); x++) {
      result[y * SIDE + x] = pixels[(y - down) * SIDE + x - right];
    }
  }
  return result;
}

const any = (list) => list[Math.floor(Math.random() * list.length)];
