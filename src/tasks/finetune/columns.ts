/** Rows of Parquet and Arrow files, each as JSON Lines would have it; classes that `datasets` counts go by their names. */
import { readFile } from "node:fs/promises";
import { withZstd } from "../../data/text/arrow.ts";
import type { TableFormat } from "../../data/text/tables.ts";
import { UserError } from "../../util/errors.ts";
import { isJsonObject, type Json, type JsonValue, parseJson, parseJsonObject, printable } from "../../util/json.ts";

/** @param name of the format @throws UserError for a broken file */
export async function tableRows(path: string, { name }: TableFormat): Promise<readonly Json[]> {
  try {
    const bytes = await readFile(path);
    const { rows, metadata } = await (name === "Parquet" ? parquetRows : arrowRows)(bytes);
    const names = classNames(metadata === undefined ? undefined : parseJson(metadata, path));
    return Array.from(rows, (row: unknown) => {
      const text = JSON.stringify(row, (_, value: unknown) => (typeof value === "bigint" ? Number(value) : value));
      const cells = Object.entries(parseJsonObject(text, path));
      return Object.fromEntries(cells.map(([column, cell]) => [column, named(cell, names.get(column))]));
    });
  } catch (error) {
    if (error instanceof UserError || !(error instanceof Error)) throw error;
    const what = `broken ${name} file, or of a kind that is not read (${printable(error.message)})`;
    throw new UserError(what, path, "get it anew, or write its rows as JSON Lines", { cause: error });
  }
}

async function parquetRows(bytes: Buffer) {
  const [{ parquetMetadataAsync, parquetReadObjects }, { compressors }] = await Promise.all([
    import("hyparquet"),
    import("hyparquet-compressors"),
  ]);
  const file = new Uint8Array(bytes).buffer;
  const metadata = await parquetMetadataAsync(file);
  const rows: Iterable<unknown> = await parquetReadObjects({ file, metadata, compressors });
  return { rows, metadata: metadata.key_value_metadata?.find(({ key }) => key === "huggingface")?.value };
}

async function arrowRows(bytes: Buffer) {
  const table = (await withZstd()).tableFromIPC(bytes);
  const rows: Iterable<unknown> = table;
  return { rows, metadata: table.schema.metadata.get("huggingface") };
}

/** What `datasets` says of columns of classes, or of lists of them. */
function classNames(said: JsonValue | undefined): ReadonlyMap<string, readonly JsonValue[]> {
  const info = isJsonObject(said) && isJsonObject(said.info) ? said.info : {};
  const namesOf = (feature: JsonValue): readonly JsonValue[] => {
    if (!isJsonObject(feature)) return [];
    return Array.isArray(feature.names) ? feature.names : namesOf(feature.feature ?? null);
  };
  const features = Object.entries(isJsonObject(info.features) ? info.features : {});
  return new Map(features.map(([column, feature]) => [column, namesOf(feature)]));
}

function named(cell: JsonValue, names: readonly JsonValue[] = []): JsonValue {
  if (Array.isArray(cell)) return cell.map((one: JsonValue) => named(one, names));
  return typeof cell === "number" ? (names[cell] ?? cell) : cell;
}
