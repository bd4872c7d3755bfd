// The photos of worker.bench.ts, as both sides read them.

import { readdir } from 'node:fs/promises'
import path from 'node:path'

export const thumbnailParameters = { sizes: [320] }
/** Work that is done before anything is measured: libraries are loaded, code is hot. */
export const warmUpCount = 16

/** So many paths; the files of the folder come again and again. */
export async function photosIn(folder: string, count: number): Promise<string[]> {
  const names = (await readdir(folder)).sort()
  return Array.from({ length: count }, (_, index) => path.join(folder, names[index % names.length] ?? ''))
}
