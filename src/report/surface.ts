/**
 * Savings over the size of the step and the length of training: a field for each pair, its colour and its number what the
 * best method measured there saved, and dashes where nothing was measured. As a picture of its own, and as a table.
 */
import { label, svg } from "./chart.ts";
import type { Table } from "./data.ts";
import { text } from "./html.ts";
import { known, tableBy } from "./table.ts";

/** What one method saved at one place. */
export interface MeasuredSaving {
  /** The target's parameters over those that the method began with. */
  readonly growth: number;
  /** Tokens of the run from scratch, a parameter of the target. */
  readonly tokens: number;
  /** Share of what scratch costs. */
  readonly saving: number;
  /** By what, where. */
  readonly words: string;
}

/** A place stands for all that is nearer to it than to its neighbours, and at the ends for what is not half as far again. */
const GROWTHS = [4, 2, 1.5];
const TOKENS = [5, 10, 20, 40];
const REACH = 1.5;

/** The best of what was measured at a place, and how much was. */
interface Field extends MeasuredSaving {
  readonly count: number;
}

function fieldsOf(measured: readonly MeasuredSaving[]): readonly (readonly (Field | undefined)[])[] {
  const at = (places: readonly number[], value: number) => {
    const apart = places.map((place) => Math.abs(Math.log(value / place)));
    const least = Math.min(...apart);
    return least < Math.log(REACH) ? places[apart.indexOf(least)] : undefined;
  };
  return GROWTHS.map((growth) =>
    TOKENS.map((tokens) => {
      const here = measured.filter((one) => at(GROWTHS, one.growth) === growth && at(TOKENS, one.tokens) === tokens);
      if (here.length === 0) return undefined;
      const best = here.reduce((most, one) => (one.saving > most.saving ? one : most));
      return { ...best, count: here.length };
    }),
  );
}

export function surfaceTable(caption: string, measured: readonly MeasuredSaving[]): Table {
  const rows = fieldsOf(measured).map((fields, i) => ({ growth: GROWTHS[i], fields }));
  return tableBy(caption, rows, [
    ["Parameters, tokens a parameter", ({ growth }) => `${growth} ×`],
    ...TOKENS.map((tokens, j) => {
      const cell = ({ fields }: (typeof rows)[number]) =>
        known(fields[j], ({ saving, words }) => `${whole(saving)} (${words})`);
      return [String(tokens), cell] as const;
    }),
  ]);
}

const [WIDE, HIGH, LEFT, TOP] = [96, 56, 60, 56];
const PANEL = LEFT + WIDE * TOKENS.length + 32;
/** Savings of so much and more have the full colour. */
const FULL = 0.5;

/** An SVG file with a panel for each way to count, in the page's colours, light and dark. @param id letters, digits, hyphens */
export function surfacePicture(
  id: string,
  title: string,
  panels: readonly { readonly name: string; readonly measured: readonly MeasuredSaving[] }[],
): string {
  const [width, height] = [PANEL * panels.length, TOP + HIGH * GROWTHS.length + 88];
  const drawn = panels.map(({ name, measured }, k) => panel(PANEL * k, name, fieldsOf(measured)));
  const scale = [-FULL, -FULL / 2, 0, FULL / 2, FULL].map((saving, i) => {
    const x = LEFT + 76 * i;
    return `${square(x, height - 26, 18, 18, saving)}${label(x + 24, height - 12, whole(saving), "start", "soft")}`;
  });
  const description = panels.map(({ name, measured }) => {
    const fields = fieldsOf(measured).flatMap((row, i) =>
      row.map(
        (field, j) => `${GROWTHS[i]} × at ${TOKENS[j]}: ${field === undefined ? "not measured" : whole(field.saving)}`,
      ),
    );
    return `${name}: ${fields.join("; ")}.`;
  });
  const legend = label(LEFT + 76 * 5, height - 12, "–: not measured", "start", "soft");
  return svg(id, width, height, title, description.join(" "), [...drawn, ...scale, legend], true);
}

function panel(left: number, name: string, rows: readonly (readonly (Field | undefined)[])[]): string {
  const x = (j: number) => left + LEFT + WIDE * j;
  const y = (i: number) => TOP + HIGH * i;
  const floor = y(GROWTHS.length);
  const fields = rows.flatMap((row, i) =>
    row.map((field, j) => {
      const [middle, centre] = [x(j) + (WIDE - 4) / 2, y(i) + (HIGH - 4) / 2];
      if (field === undefined)
        return `${square(x(j), y(i), WIDE - 4, HIGH - 4)}${label(middle, centre + 5, "–", "middle", "soft")}`;
      const { saving, count, words } = field;
      const of = count === 1 ? "1 measured" : `best of ${count}`;
      return `${square(x(j), y(i), WIDE - 4, HIGH - 4, saving, words)}${label(middle, centre, whole(saving), "middle", "", ' font-weight="600"')}${label(middle, centre + 17, of, "middle", "soft")}`;
    }),
  );
  return [
    label(x(0), 18, name, "start", "", ' font-weight="600"'),
    label(x(0), 42, "growth, in parameters", "start", "soft"),
    ...GROWTHS.map((growth, i) => label(x(0) - 10, y(i) + HIGH / 2 + 3, `${growth} ×`, "end", "soft")),
    ...TOKENS.map((tokens, j) => label(x(j) + (WIDE - 4) / 2, floor + 16, String(tokens), "middle", "soft")),
    label(x(TOKENS.length) - 4, floor + 36, "tokens a parameter", "end", "soft"),
    ...fields,
  ].join("");
}

/** A field of a saving's colour, blue where it is one and orange where it is a loss; an empty one without. */
function square(x: number, y: number, width: number, height: number, saving?: number, words = ""): string {
  const strength = Math.min(1, Math.abs(saving ?? 0) / FULL);
  const fill =
    saving === undefined
      ? 'fill="none" stroke="var(--line)" stroke-dasharray="4 4"'
      : `fill="var(${saving < 0 ? "--c2" : "--c1"})" fill-opacity="${(0.06 + 0.34 * strength).toFixed(2)}"`;
  const title = words === "" ? "" : `<title>${text(words)}</title>`;
  return `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="3" ${fill}>${title}</rect>`;
}

function whole(saving: number): string {
  return `${Math.round(100 * saving)} %`.replace("-", "−");
}
