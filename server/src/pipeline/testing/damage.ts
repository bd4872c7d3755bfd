// The same damage for every kind of file: cut at ten places, and bytes without any meaning.

/** The beginnings of `bytes`, cut at ten places, none of them whole and none empty. */
export const truncations = (bytes: Buffer): Buffer[] =>
  Array.from({ length: 10 }, (_, index) =>
    bytes.subarray(0, Math.min(bytes.length - 1, Math.max(1, Math.round((bytes.length * (index + 1)) / 10.5)))),
  )

/** Bytes as if by chance, the same for the same seed. */
export function noise(sizeBytes: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(sizeBytes)
  let state = seed
  for (let at = 0; at < sizeBytes; at += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    bytes[at] = state >>> 24
  }
  return bytes
}
