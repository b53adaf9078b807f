/**
 * A node of a file → nodes of `OPERATORS`: as it stands where it is one of them, by a rule where it is not.
 */

import { UnsupportedError } from "../../../core/errors.ts";
import { quote } from "../../../core/text.ts";
import { unknownOperator, type Value } from "../../call.ts";
import { isOperator } from "../../operators.ts";
import { ACTIVATIONS } from "./activations.ts";
import { ARITHMETIC } from "./arithmetic.ts";
import { ATTENTION } from "./attention.ts";
import { LAYOUTS } from "./layout.ts";
import { direct, type LowerCall, type LowerRule } from "./lower-call.ts";
import { NORMS } from "./norms.ts";
import { PRODUCTS } from "./products.ts";
import { ROTARY } from "./rotary.ts";

/** By operator; those of other domains than ONNX's own with the domain in front. */
const RULES: ReadonlyMap<string, LowerRule> = new Map(
  Object.entries({ ...ARITHMETIC, ...LAYOUTS, ...ACTIVATIONS, ...NORMS, ...PRODUCTS, ...ROTARY, ...ATTENTION }),
);

/** Products by codes, and codes themselves: there is no weight to train on. */
const QUANTISED =
  /^(?:com\.microsoft\.)?(?:MatMulNBits|DequantizeLinear|QuantizeLinear|DynamicQuantize|QLinear|QGemm|MatMulInteger|GatherBlockQuantized)/;

export function canLower(operator: string): boolean {
  return RULES.has(operator) || isOperator(operator);
}

/** @throws {UnsupportedError} UNSUPPORTED_OPERATOR, QUANTIZED_BASE */
export function lower(call: LowerCall): readonly (Value | undefined)[] {
  const rule = RULES.get(call.operator);
  if (rule !== undefined) return rule(call);
  if (isOperator(call.operator)) return direct(call, call.inputs);
  if (QUANTISED.test(call.operator)) {
    throw new UnsupportedError("QUANTIZED_BASE", `the weights are quantised (${quote(call.operator)})`, {
      subject: call.label,
      hint: "export the model's unquantised weights",
    });
  }
  throw unknownOperator(call.label, call.node.domain, call.node.opType);
}
