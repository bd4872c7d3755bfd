// Memory of buffers whose end is known. Buffers lie outside of the heap, so the collector hardly sees them: it lets them
// pile up to tens of megabytes and then marks the whole heap to find that they are free, over and over while bytes
// stream through. Given back at once, the same few kilobytes serve again while they are still in the CPU's cache.

/**
 * Gives the memory back when it is the buffer's own; a part of something larger is left alone. Only for whoever has got
 * the bytes for himself and has done with them: nothing may be reading them any more, no call of the system either.
 */
export function releaseBytes({ buffer, byteLength }: Uint8Array): void {
  if (byteLength > 0 && byteLength === buffer.byteLength && buffer instanceof ArrayBuffer) buffer.transfer(0)
}
