/** All rows there are, a table a piece. */
import { rows } from "./lib.mjs";

const pieces = new Map();
for (const row of rows()) pieces.set(row.piece, [...(pieces.get(row.piece) ?? []), row]);
for (const [piece, found] of pieces) {
  // Of what was measured again, the last.
  const last = [...new Map(found.map((row) => [`${row.what} ${row.device}`, row])).values()];
  const columns = [...new Set(last.flatMap((row) => Object.keys(row)))].filter((name) => name !== "piece");
  const line = (cells) =>
    `| ${cells
      .map((cell) =>
        String(cell ?? "")
          .replaceAll("|", "/")
          .replaceAll("\n", " "),
      )
      .join(" | ")} |`;
  console.log(`### ${piece}\n`);
  console.log(
    [line(columns), line(columns.map(() => "---")), ...last.map((row) => line(columns.map((c) => row[c])))].join("\n"),
  );
  console.log();
}
