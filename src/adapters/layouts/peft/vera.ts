/**
 * VeRA: vera_lambda_b [out] and vera_lambda_d [rank] of each module, vera_A [rank, most inputs] and vera_B [most outputs,
 * rank] once for all of them; no alpha (PEFT 0.21.2 `vera`). Without `save_projection` the file lacks the shared two, which
 * torch's random generator made: refused.
 */

import { hasDimensions, hasLength, hasRank, requireFloat, takeFactors } from "./factor-shapes.ts";
import type { ModuleReader } from "./module-reader.ts";
import { unsupported } from "./unsupported.ts";

export const readVera: ModuleReader = (entry, { config, problems, shared }) => {
  const { module } = entry.place;
  const [down, up] = [shared.get("vera_A"), shared.get("vera_B")];
  if (down === undefined || up === undefined) {
    throw unsupported("VeRA without its projections vera_A and vera_B, which are drawn from a random generator", {
      file: config.file,
      subject: "save_projection",
      hint: "load the adapter in the PEFT that made it, set save_projection to true and save it again",
    });
  }
  const taken = takeFactors(entry, ["vera_lambda_b", "vera_lambda_d"], [], problems);
  if (taken === undefined || !hasDimensions([down, up], [2, 2], problems)) return undefined;
  for (const tensor of [down, up]) requireFloat(tensor);
  const { vera_lambda_b: outputs, vera_lambda_d: ranks } = taken;
  if (!hasDimensions([outputs, ranks], [1, 1], problems)) return undefined;
  const { rank } = config;
  const [downRank = 0] = down.shape;
  const [, upRank = 0] = up.shape;
  if (!hasRank(module, rank, downRank, down.name, problems)) return undefined;
  if (!hasRank(module, rank, upRank, up.name, problems)) return undefined;
  if (!hasLength(ranks, rank, problems)) return undefined;
  return { name: module, kind: "linear", delta: { kind: "vera", down, up, ranks, outputs }, rank, alpha: 0, scale: 1 };
};
