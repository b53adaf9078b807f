/**
 * One worker thread that cuts products to a lower rank.
 */

import { type CutJob, runCut } from "./cut.ts";
import { serveFactorJobs } from "./serve-factor-jobs.ts";

serveFactorJobs<CutJob>(runCut);
