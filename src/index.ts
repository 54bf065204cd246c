/**
 * The library's public names. Everything else is internal and may change in any version.
 */
export { type FloatDType, floatDTypes, type StoredDType } from "./checkpoint/dtype.ts";
export { type ModelFolder, openModelFolder, readConfig } from "./checkpoint/folder.ts";
export { openSafetensors, type SafetensorsFile, type StoredTensor } from "./checkpoint/safetensors.ts";
export { openWeights, type Weights } from "./checkpoint/weights.ts";
export { parseSize, type TensorSource, type WriteOptions, type Written, writeWeights } from "./checkpoint/write.ts";
export { Interrupted, UserError } from "./util/errors.ts";
export { writeFileWhole, writeFolderWhole } from "./util/files.ts";
export type { Json, JsonValue } from "./util/json.ts";
