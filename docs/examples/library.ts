/**
 * Grows `my-model` and trains it on `data`. In a clone, after `npm run build`:
 * `npx tsc -p docs/examples && node dist/examples/library.js`
 */
import { applyGrowth, loadRun, openModel, planGrowth, pretrain, resizedModel } from "bert2bert";

const source = await openModel("my-model");
const target = resizedModel(source.model, { hidden: 1024, heads: 16 });
await applyGrowth(planGrowth(source.model, target, { method: "direct" }), source, "big");
const run = await loadRun({ out: "run", model: { from: "big" }, data: { from: "data" }, objective: "mlm", steps: 500 });
await pretrain(run);
