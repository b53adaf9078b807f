/**
 * What PEFT calls the exact sum, for the way its factors lie: one under the other and side by side.
 */

import { add } from "./add.ts";

export const cat: typeof add = { ...add, summary: "the same as add, under PEFT's name: factors side by side" };
