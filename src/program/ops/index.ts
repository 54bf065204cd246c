/**
 * The operations there are: primitives, which every engine lowers, and composites, which an engine lowers whole or
 * expands. They are what all.ts exports: a new one is in one of its files, or in a file of its own and one line there.
 */
import type { Attributes, Node, Operation } from "../graph.ts";
import * as all from "./all.ts";

export * from "./all.ts";

export const operations: readonly Operation[] = Object.values<unknown>(all).filter(isOperation);
/** Without an expansion: an engine must know each. */
export const primitives = operations.filter(({ expand }) => expand === undefined);
/** With an expansion into simpler operations. */
export const composites = operations.filter(({ expand }) => expand !== undefined);

type Exported = typeof all;

/** The operations' attributes, by their names. */
export type AttributesOf = {
  readonly [K in keyof Exported as K extends `${infer Name}Op` ? Name : never]: Exported[K] extends Operation<infer A>
    ? A
    : never;
};

export type NodeOf<K extends keyof AttributesOf> = Node<AttributesOf[K] & Attributes>;

export function isOf<K extends keyof AttributesOf>(name: K, node: Node): node is NodeOf<K> {
  return node.op.name === name;
}

function isOperation(exported: unknown): exported is Operation {
  return typeof exported === "object" && exported !== null && "infer" in exported;
}
