// The names of objects in a store. They are made by us from ids, so a bad one is a bug, not an input.

import { invariant } from '../platform/problem.ts'

export const keyLengthMax = 200

// No character sorts before "/": so the order of a tree, in which SeaweedFS and disks list, is the order of bytes.
const keyPattern = /^[a-z0-9_]+(?:\/[a-z0-9_]+)*$/
const prefixPattern = /^(?:[a-z0-9_]+\/)*[a-z0-9_]*$/

/** Stops a key that could leave its place in any store: a path step, an empty part, a foreign character. */
export function checkKey(key: string): void {
  invariant(key.length <= keyLengthMax && keyPattern.test(key), 'an object key is [a-z0-9_] parts joined by /')
}

/** The same for the prefix of a list, which may be empty or end anywhere in a key. */
export function checkPrefix(prefix: string): void {
  invariant(prefix.length <= keyLengthMax && prefixPattern.test(prefix), 'a key prefix is the beginning of a key')
}
