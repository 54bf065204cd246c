/**
 * Draws what a comparison found (the quickstart's report.json) as an SVG file, loss against FLOPs.
 *
 *   npm run -s build && node bench/picture.mjs quickstart/report.json docs/results/quickstart.svg
 */
import { readFile } from "node:fs/promises";
import { comparisonPicture } from "../dist/report/comparison.js";
import { writeFileWhole } from "../dist/store/files.js";

const [from, to] = process.argv.slice(2);
await writeFileWhole(to, comparisonPicture(JSON.parse(await readFile(from, "utf8"))));
