/** ONNX files in onnxruntime-node, as any user of them would run them. */

import { InferenceSession, Tensor } from "onnxruntime-node";

export interface TokenInputs {
  readonly shape: readonly [batch: number, length: number];
  readonly ids: BigInt64Array;
  readonly mask: BigInt64Array;
  readonly positions: BigInt64Array;
}

export class OnnxModelFile {
  readonly #session: InferenceSession;

  private constructor(session: InferenceSession) {
    this.#session = session;
  }

  static async open(path: string): Promise<OnnxModelFile> {
    return new OnnxModelFile(await InferenceSession.create(path, { logSeverityLevel: 3, intraOpNumThreads: 1 }));
  }

  /** [batch, length, vocabulary] */
  async logits({ shape, ids, mask, positions }: TokenInputs): Promise<{ dims: readonly number[]; data: Float32Array }> {
    const tensor = (data: BigInt64Array) => new Tensor("int64", data, shape);
    const feeds = { input_ids: tensor(ids), attention_mask: tensor(mask), position_ids: tensor(positions) };
    const { logits } = await this.#session.run(feeds);
    if (logits === undefined) throw new Error("no logits");
    return { dims: logits.dims, data: logits.data as Float32Array };
  }

  /** Goes on from the tokens with the likeliest one, again and again. */
  async generate(prompt: readonly number[], count: number): Promise<number[]> {
    const ids = [...prompt];
    while (ids.length < prompt.length + count) {
      const length = ids.length;
      const { dims, data } = await this.logits({
        shape: [1, length],
        ids: BigInt64Array.from(ids, BigInt),
        mask: new BigInt64Array(length).fill(1n),
        positions: BigInt64Array.from(ids.keys(), BigInt),
      });
      const last = data.subarray(-(dims[2] ?? 0));
      ids.push(last.indexOf(Math.max(...last)));
    }
    return ids;
  }

  close(): Promise<void> {
    return this.#session.release();
  }
}
