/** The candidate that was most likely meant by a word that is none of them, if any is near enough. */
export function nearestName(word: string, candidates: readonly string[]): string | undefined {
  const distanceMax = Math.min(3, Math.max(1, Math.floor(word.length / 3)))
  if (word.length > 100) return undefined
  let nearest: { name: string; distance: number } | undefined
  for (const name of candidates) {
    const distance = isPartOf(word, name)
      ? 1
      : Math.min(editDistance(word.toLowerCase(), name.toLowerCase()), endDistance(word, name))
    if (distance <= distanceMax && distance < (nearest?.distance ?? Infinity)) nearest = { name, distance }
  }
  return nearest?.name
}

/** ` Did you mean "…"?`, or nothing. */
export function suggestion(word: string, candidates: readonly string[]): string {
  const name = nearestName(word, candidates)
  return name === undefined ? '' : ` Did you mean "${name}"?`
}

/** "thumbnail" for image.thumbnail, another separator, and the parts in another order: "text.ocr" for ocr.text. */
const isPartOf = (word: string, name: string): boolean => {
  const dotted = word.replaceAll(/[-_/: ]/g, '.')
  return name.endsWith(`.${word}`) || name === dotted || name === dotted.split('.').toReversed().join('.')
}

/** What is done has the right name, and what it is done to has another: "table.union" for data.union. */
const endDistance = (word: string, name: string): number =>
  word.includes('.') && word.split('.').at(-1) === name.split('.').at(-1) ? 2 : Infinity

/** Insertions, deletions, replacements and swaps of neighbours (optimal string alignment). */
function editDistance(left: string, right: string): number {
  let [before, row]: number[][] = [[], Array.from({ length: right.length + 1 }, (_, index) => index)]
  for (let i = 1; i <= left.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= right.length; j += 1) {
      const same = left[i - 1] === right[j - 1]
      const at = (cells: number[] | undefined, index: number): number => cells?.[index] ?? Infinity
      let cost = Math.min(at(row, j) + 1, at(next, j - 1) + 1, at(row, j - 1) + (same ? 0 : 1))
      const swapped = i > 1 && j > 1 && left[i - 1] === right[j - 2] && left[i - 2] === right[j - 1]
      if (swapped) cost = Math.min(cost, at(before, j - 2) + 1)
      next.push(cost)
    }
    ;[before, row] = [row ?? [], next]
  }
  return row?.at(-1) ?? Infinity
}
