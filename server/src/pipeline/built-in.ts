// The pipelines that every tenant has from the start, one for each kind of file, as texts that people can copy.

import { readdir, readFile } from 'node:fs/promises'

const folder = new URL('built-in/', import.meta.url)

/** Their YAML texts, in the order of their names. */
export async function readBuiltInPipelines(): Promise<string[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.yaml')).toSorted()
  return Promise.all(names.map((name) => readFile(new URL(name, folder), 'utf8')))
}
