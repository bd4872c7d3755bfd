// What a sender says that a file is. Nothing is decided by it: the check of the file compares it with the content.

const lengthMax = 200

/** The media type without its parameters, in lower case; undefined for what is none. */
export function declaredTypeOf(text: string | undefined): string | undefined {
  const bare = text?.split(';', 1)[0]?.trim().toLowerCase() ?? ''
  return bare.length <= lengthMax && /^[a-z0-9][a-z0-9!#$&^_.+-]*\/[a-z0-9][a-z0-9!#$&^_.+-]*$/.test(bare)
    ? bare
    : undefined
}
