/**
 * What LyCORIS calls the factors of LoHa (`hada_…`) and LoKr (`lokr_…`); PEFT, kohya's files and diffusers' took the names over.
 */

export const PRODUCT_FACTORS = [
  "hada_w1_a",
  "hada_w1_b",
  "hada_w2_a",
  "hada_w2_b",
  "hada_t1",
  "hada_t2",
  "lokr_w1",
  "lokr_w1_a",
  "lokr_w1_b",
  "lokr_w2",
  "lokr_w2_a",
  "lokr_w2_b",
  "lokr_t2",
] as const;
