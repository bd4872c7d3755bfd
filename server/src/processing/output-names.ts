// Names of outputs: clean for people and for a uri, and unique within their job.

const nameLengthMax = 200

/** Without control characters and separators, never empty, of bounded length with its extension kept. */
export function cleanOutputName(name: string): string {
  const clean = name
    .normalize('NFC')
    .replace(/[\p{Cc}/\\]+/gu, '_')
    .trim()
  if (clean === '' || clean === '.' || clean === '..') return 'output'
  if (clean.length <= nameLengthMax) return clean
  const { stem, extension } = splitName(clean)
  return stem.slice(0, nameLengthMax - extension.length) + extension
}

/** Names to try for an output, best first; nothing but a hostile twin has the last one already. */
export function outputNameCandidates(name: string, task: { taskId: number; ordinal: number }, index: number): string[] {
  const clean = cleanOutputName(name)
  const { stem, extension } = splitName(clean)
  return [clean, `${stem}-${task.ordinal + 1}${extension}`, `${stem}-${task.taskId}-${index}${extension}`]
}

function splitName(name: string): { stem: string; extension: string } {
  const match = /^(.+?)((?:\.[A-Za-z0-9]{1,10}){1,2})$/.exec(name)
  return { stem: match?.[1] ?? name, extension: match?.[2] ?? '' }
}
