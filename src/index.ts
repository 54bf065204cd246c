/**
 * The library's public names. Everything else is internal and may change in any version.
 */
export { type FloatDType, floatDTypes, type StoredDType } from "./checkpoint/dtype.ts";
export { readConfig } from "./checkpoint/folder.ts";
export { openSafetensors, type SafetensorsFile, type StoredTensor } from "./checkpoint/safetensors.ts";
export { openWeights, type Weights } from "./checkpoint/weights.ts";
export { parseSize, type TensorSource, type WriteOptions, type Written, writeWeights } from "./checkpoint/write.ts";
export type { Batch, BatchShape } from "./data/batch/batch.ts";
export { type DataSize, dataSize, trainingBatch, validationBatches } from "./data/batch/batches.ts";
export { type Dataset, type DatasetInfo, openDataset } from "./data/prepared/dataset.ts";
export { type PrepareOptions, type PrepareResult, prepare } from "./data/prepared/prepare.ts";
export { openTokenizer, type Tokenizer, type TokenizerInfo } from "./data/tokenizer/tokenizer.ts";
export { type TrainTokenizerOptions, type TrainTokenizerResult, trainTokenizer } from "./data/tokenizer/train.ts";
export type { Engine, EngineKind, EngineSettings } from "./engine/engine.ts";
export { engineKinds, openEngine } from "./engine/engines.ts";
export { type Applied, type ApplyOptions, applyGrowth, storedDType } from "./growth/apply.ts";
export { depthRuleOf, depthRules } from "./growth/depth.ts";
export { type DescribedGroup, describeGroups, describeJson } from "./growth/describe.ts";
export type {
  Content,
  DepthRule,
  Growth,
  LayerOrigin,
  Lineage,
  OptionDefinition,
  OptionValues,
  Promised,
  WidthMethod,
} from "./growth/growth.ts";
export { type AxisMaps, grows, isUniform, type MapKind, makeMap, mapOf, type UnitMap } from "./growth/maps.ts";
export { copiesKeepTheFunction } from "./growth/methods/fpi.ts";
export { methodOf, methods } from "./growth/methods.ts";
export {
  type GrowthChoices,
  type GrowthPlan,
  planGrowth,
  resizedModel,
  type TargetSizes,
  targetModel,
} from "./growth/plan.ts";
export { choose, constant, gather, type Recipe, type TensorSource as RecipeSource } from "./growth/recipe.ts";
export { type GrowthRecord, readRecord } from "./growth/record.ts";
export { checkSource, repeatedPlan } from "./growth/repeat.ts";
export {
  copied,
  corner,
  fresh,
  grownFactors,
  indexAlong,
  newUnits,
  type Share,
  sharesAlong,
  uncopiedUnits,
} from "./growth/width.ts";
export type { Architecture, Model, ModelSettings } from "./model/architecture.ts";
export { architectureOf, architectures } from "./model/architectures.ts";
export { type CreateOptions, createModel } from "./model/create.ts";
export { paperFlops, type StepFlops, type StepShape } from "./model/flops.ts";
export { outputsWithLanguageModel } from "./model/head.ts";
export { initialise } from "./model/init.ts";
export { type OpenModel, openModel, type ParameterWeights } from "./model/load.ts";
export type { Objective } from "./model/objectives.ts";
export { remarks } from "./model/remarks.ts";
export type { Axis, Dim, Dimensions, Factor, Output, Outputs, Parameter } from "./model/table.ts";
export { AXES, elements, has, runsAlong, shapeOf } from "./model/table.ts";
export { type ProbeInputs, readProbeInputs } from "./probe/inputs.ts";
export { type Inspection, inspect } from "./probe/inspect.ts";
export { type ProbeOptions, type ProbeTensor, probe, writeProbe } from "./probe/probe.ts";
export { textInputs } from "./probe/text.ts";
export { type Computes, type Difference, randomInputs, type Verification, verifyGrowth } from "./probe/verify.ts";
export { type QuickstartOptions, type QuickstartResult, quickstart } from "./quickstart/quickstart.ts";
export { type QuickstartSettings, quickstartSettings } from "./quickstart/settings.ts";
export { generateStories, type StoryOptions } from "./quickstart/stories.ts";
export { renderComparisonReport } from "./report/comparison.ts";
export type { ComparedRun, ComparisonReportData, RunReportData } from "./report/data.ts";
export { renderRunReport } from "./report/run.ts";
export { type LossPoint, type Saving, saving } from "./report/saving.ts";
export { renderStudyReport } from "./report/study.ts";
export type { SavingSpread, Spread, StudyMethodResult, StudyResults, StudyRun } from "./report/study-data.ts";
export { writeFileWhole, writeFolderWhole } from "./store/files.ts";
export { type Cell, StudyCells } from "./study/cells.ts";
export { type MethodDefinition, methodDefinitions } from "./study/methods.ts";
export type { Additions } from "./study/plans.ts";
export type { RunRecord } from "./study/record.ts";
export { studyResults, type WrittenResults, writeResults } from "./study/results.ts";
export { openStudy, runStudy, type StudyOptions, type StudyState, stateOf, type Trial } from "./study/run.ts";
export { type Schedule, scheduleOf } from "./study/schedule.ts";
export { loadStudy, type Study, type StudyMethod } from "./study/settings.ts";
export { evaluateTasks, type TasksOptions } from "./tasks/evaluate.ts";
export { type Filled, fillMask } from "./tasks/fill-mask.ts";
export { type FinetuneResult, finetune } from "./tasks/finetune/finetune.ts";
export { loadTask, type TaskInput } from "./tasks/finetune/settings.ts";
export { type Sample, type SampleOptions, sample } from "./tasks/sample.ts";
export { estimateRun, type RunEstimate } from "./train/estimate.ts";
export { type EvaluateOptions, evaluateFolder } from "./train/evaluate-folder.ts";
export { type LearnOptions, learnGrowth } from "./train/ligo.ts";
export { definePlan, type Plan } from "./train/plan/plans/plan.ts";
export type { StageSpec, SubModel } from "./train/plan/stage.ts";
export { pretrain } from "./train/pretrain.ts";
export { profileRun, type StepProfile } from "./train/profile.ts";
export { type Recommended, recommendRun } from "./train/recommend.ts";
export { type Evaluated, type MetricsLine, readMetrics } from "./train/run/metrics.ts";
export type { RunInput } from "./train/run/schema.ts";
export { type LoadedRun, loadRun, type RunSettings } from "./train/run/settings.ts";
export { Diverged, type PretrainOptions, type RunProgress, type RunResult } from "./train/trainer.ts";
export { Interrupted, UserError } from "./util/errors.ts";
export type { Json, JsonValue } from "./util/json.ts";
