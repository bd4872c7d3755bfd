// Content that is small and in memory anyway. It may stand wherever content is read piece by piece; whoever knows it takes
// it without the steps, the waits and the copies that a stream needs.

export class WholeContent implements AsyncIterable<Buffer> {
  readonly bytes: Buffer
  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
    if (this.bytes.length > 0) yield this.bytes
  }
}
