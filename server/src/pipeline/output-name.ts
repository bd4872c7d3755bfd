// Names of derived files: that of the file they were made from, with another ending; or one that is wished for.

const stemCharactersMax = 200

/** report.final.pdf with .txt gives report.final.txt; a name that is nothing but an ending keeps it. */
export function outputName(name: string, ending: string): string {
  const stem = name.replace(/(?<=.)\.[^./\\\s]{1,10}$/u, '')
  return `${Array.from(stem).slice(0, stemCharactersMax).join('')}${ending}`
}

/** Of a name that is wished for: no path, no control character. */
export const fileNamePattern = '^[^/\\\\\\u0000-\\u001f]+$'
