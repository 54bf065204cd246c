// The kernels of an engine that works on memory shared by threads.
export * from "./rms";
export * from "./rows";
export * from "./update";
