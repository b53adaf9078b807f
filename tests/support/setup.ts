/** Property tests draw the same cases in every run of the suite; `npm run fuzz` is the one that explores. */

import fc from "fast-check";

fc.configureGlobal({ seed: 20_240_220 });
