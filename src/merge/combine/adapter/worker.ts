/**
 * One worker thread that combines modules by methods on elements.
 */

import { serveFactorJobs } from "../../../adapters/low-rank/serve-factor-jobs.ts";
import { type ElementJob, runElements } from "./element-job.ts";

serveFactorJobs<ElementJob>(runElements);
