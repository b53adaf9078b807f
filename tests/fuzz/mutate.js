// @ts-check
/** Small damage to bytes, to JSON and to safetensors files: what disks, downloads, other programs and attackers do. */

/** @typedef {import("./random.js").Random} Random */

const NUMBERS = [
  ...[
    "0",
    "1",
    "-1",
    "2",
    "3",
    "7",
    "8",
    "64",
    "65",
    "255",
    "256",
    "4095",
    "65536",
    "1e3",
    "4.0",
    "-0",
    "0.5",
    "01",
    "1e999",
  ],
  ...["2147483647", "2147483648", "4294967296", "9007199254740991", "9007199254740993", "9223372036854775808"],
  ...["18446744073709551615", "18446744073709551616", "1e-320", "NaN", "Infinity", "0x10", "1_000", "+1"],
];

const TEXTS = [
  ...[
    '""',
    '"__proto__"',
    '"constructor"',
    '"__metadata__"',
    '"toString"',
    '"\\u0000"',
    '"\\ud800"',
    '"\\u001b[2J"',
    '"../../x"',
  ],
  ...[
    '"/etc/passwd"',
    '"a\\nb"',
    '"(a+)+$"',
    '"(?P<n>x)"',
    '"["',
    '".*"',
    '"F32"',
    '"F16"',
    '"BF16"',
    '"F8_E4M3"',
    '"F4"',
    '"I64"',
  ],
  ...[
    '"F128"',
    '"f32"',
    '"LORA"',
    '"IA3"',
    '"LOHA"',
    '"ADALORA"',
    '"é\\ud83d\\ude00"',
    '"http://x"',
    '"q_proj"',
    '"all-linear"',
  ],
];

const OTHERS = [
  "null",
  "true",
  "false",
  "{}",
  "[]",
  "[[]]",
  "[null]",
  '{"a":1,"a":2}',
  '{"__proto__":{"x":1}}',
  "[1,2,3,4]",
  "[0,8]",
];

/**
 * Some bytes changed, added, removed or doubled.
 *
 * @param {Random} random
 * @param {Buffer} bytes
 * @returns {Buffer}
 */
export function mutateBytes(random, bytes) {
  let result = Buffer.from(bytes);
  for (let rounds = 1 + random.below(3); rounds > 0; rounds--) {
    const at = random.below(result.length + 1);
    const length = random.chance(0.7) ? 1 + random.below(8) : random.below(result.length + 1);
    const [head, tail] = [result.subarray(0, at), result.subarray(at)];
    switch (random.below(6)) {
      case 0:
        if (at < result.length) result[at] = (result[at] ?? 0) ^ (1 << random.below(8));
        break;
      case 1:
        if (at < result.length)
          result[at] = random.pick([0, 1, 0x20, 0x22, 0x2c, 0x7b, 0x7f, 0x80, 0xff, random.below(256)]);
        break;
      case 2:
        result = Buffer.concat([
          head,
          Buffer.from(random.pick([...NUMBERS, ...TEXTS, "{", "]", ",", ":", "\\", '"'])),
          tail,
        ]);
        break;
      case 3:
        result = Buffer.concat([head, tail.subarray(length)]);
        break;
      case 4:
        result = Buffer.concat([head, tail.subarray(0, length), tail]);
        break;
      default:
        result = Buffer.from(head);
    }
  }
  return result;
}

/** Keys, strings, numbers, words and empty brackets of a JSON text. */
const VALUE = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|\[\]|\{\}/g;

/**
 * A JSON text with values exchanged, nested, renamed or repeated; most often still JSON, to get behind the parser.
 *
 * @param {Random} random
 * @param {string} text
 * @returns {string}
 */
export function mutateJson(random, text) {
  const anything = random.chance(0.25);
  for (;;) {
    const result = mutateText(random, text);
    if (anything || isJson(result)) return result;
  }
}

/** @param {string} text */
function isJson(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/**
 * @param {Random} random
 * @param {string} text
 * @returns {string}
 */
function mutateText(random, text) {
  let result = text;
  for (let rounds = 1 + random.below(3); rounds > 0; rounds--) {
    const values = [...result.matchAll(VALUE)];
    if (values.length === 0) return random.pick(OTHERS);
    const found = random.pick(values);
    const [start, end] = [found.index, found.index + found[0].length];
    const put = (/** @type {string} */ value) => result.slice(0, start) + value + result.slice(end);
    switch (random.below(9)) {
      case 0:
        result = put(random.pick(NUMBERS));
        break;
      case 1:
        result = put(random.pick(TEXTS));
        break;
      case 2:
        result = put(random.pick(OTHERS));
        break;
      case 3:
        result = put(random.pick(values)[0]);
        break;
      case 4:
        result = put(`[${found[0]}]`);
        break;
      case 5: {
        const depth = random.pick([3, 126, 127, 128, 129, 5000]);
        result = put("[".repeat(depth) + "]".repeat(depth));
        break;
      }
      case 6:
        result = put(/^\d/.test(found[0]) ? String(Number(found[0]) + random.pick([-1, 1, 8])) : found[0]);
        break;
      case 7: {
        // A member or item again, at the same place: equal keys, or a list that is longer.
        const rest =
          /^\s*:\s*(?:"(?:[^"\\]|\\.)*"|[\d.eE+-]+|\w+|\[[^[\]{}]*\]|\{[^{}]*\})/.exec(result.slice(end))?.[0] ?? "";
        result = put(`${found[0]}${rest},${found[0]}`);
        break;
      }
      default:
        result = mutateBytes(random, Buffer.from(result)).toString(random.chance(0.5) ? "utf8" : "latin1");
    }
  }
  return result;
}

/**
 * A safetensors file with a damaged header (its length usually right), data or length.
 *
 * @param {Random} random
 * @param {Buffer} bytes a valid file
 * @returns {Buffer}
 */
export function mutateSafetensors(random, bytes) {
  if (random.chance(0.2)) return mutateBytes(random, bytes);
  const length = Number(bytes.readBigUInt64LE(0));
  const header = bytes.subarray(8, 8 + length).toString("utf8");
  const data = bytes.subarray(8 + length);
  const json = Buffer.from(
    random.chance(0.9) ? mutateJson(random, header) : header + random.pick([" ", "\0", "\n", "x", "{}"]),
  );
  const prefix = Buffer.alloc(8);
  const lengths = [
    0n,
    1n,
    BigInt(json.length - 1),
    BigInt(json.length + 1),
    100_000_000n,
    100_000_001n,
    2n ** 53n,
    2n ** 64n - 1n,
  ];
  prefix.writeBigUInt64LE(
    random.chance(0.95) ? BigInt(json.length) : random.pick(lengths.filter((value) => value >= 0n)),
  );
  const kept = random.chance(0.9)
    ? data
    : random.chance(0.5)
      ? data.subarray(0, random.below(data.length + 1))
      : Buffer.concat([data, Buffer.from([0])]);
  return Buffer.concat([prefix, json, kept]);
}

/** Bytes of an element, for dtypes whose elements are whole bytes. @type {Record<string, number>} */
const WIDTHS = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  F16: 2,
  BF16: 2,
  I16: 2,
  F32: 4,
  I32: 4,
  F64: 8,
  I64: 8,
};

/**
 * A valid safetensors file whose tensors do not fit: renamed, left out, repeated, of other shapes and dtypes.
 *
 * @param {Random} random
 * @param {Buffer} bytes a valid file
 * @returns {Buffer}
 */
export function misfitSafetensors(random, bytes) {
  const length = Number(bytes.readBigUInt64LE(0));
  /** @type {Record<string, { dtype: string, shape: number[] }>} */
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString("utf8"));
  delete header["__metadata__"];
  const tensors = new Map(
    Object.entries(header).map(([name, { dtype, shape }]) => [name, { dtype, shape: [...shape] }]),
  );
  for (let rounds = 1 + random.below(3); rounds > 0 && tensors.size > 0; rounds--) {
    const name = random.pick([...tensors.keys()]);
    const tensor = tensors.get(name) ?? { dtype: "F32", shape: [] };
    const axis = random.below(tensor.shape.length);
    switch (random.below(8)) {
      case 0:
        tensors.delete(name);
        break;
      case 1:
        tensors.set(renamed(random, name, [...tensors.keys()]), tensor);
        break;
      case 2:
        tensors.delete(name);
        tensors.set(renamed(random, name, [...tensors.keys()]), tensor);
        break;
      case 3:
        tensor.dtype = random.pick(Object.keys(WIDTHS));
        break;
      case 4:
        tensor.shape[axis] = random.pick([0, 1, 2, 3, 8, (tensor.shape[axis] ?? 1) + 1]);
        break;
      case 5:
        tensor.shape.reverse();
        break;
      case 6:
        tensor.shape.splice(axis, random.below(2), random.pick([1, 2]));
        break;
      default:
        tensor.shape = random.pick([[], [0], [1], [2, 2], [1, 1, 1, 1], Array(64).fill(1)]);
    }
  }
  let end = 0;
  const entries = [...tensors].map(([name, { dtype, shape }]) => {
    const begin = end;
    end += shape.reduce((product, size) => product * size, WIDTHS[dtype] ?? 1);
    return `${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, end] })}`;
  });
  const json = Buffer.from(`{${entries.join(",")}}`);
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([prefix, json, Buffer.alloc(end, random.pick([0, 0x3c]))]);
}

/** @param {Random} random @param {string} name @param {readonly string[]} others */
function renamed(random, name, others) {
  const parts = name.split(".");
  const at = random.below(parts.length);
  switch (random.below(5)) {
    case 0:
      parts.splice(at, 1);
      break;
    case 1:
      parts[at] = random.pick(random.pick(others).split("."));
      break;
    case 2:
      parts.splice(
        at,
        0,
        random.pick(["0", "99", "default", "base_layer", "weight", "", "__proto__", "lora_A", "original_module"]),
      );
      break;
    case 3:
      return name.replace("lora_A", "lora_B").replace("weight", "bias");
    default:
      return `${name}${random.pick([".x", "\u0000", "\u001b[2J", ".lora_A.weight", ".exp_avg"])}`;
  }
  return parts.join(".");
}
