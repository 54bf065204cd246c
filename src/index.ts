/**
 * The library's public names. Everything else is internal and may change in any version.
 */
export { Interrupted, UserError } from "./util/errors.ts";
export { writeFileWhole, writeFolderWhole } from "./util/files.ts";
export type { Json, JsonValue } from "./util/json.ts";
