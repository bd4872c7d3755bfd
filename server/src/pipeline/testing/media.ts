// Sound and film for tests: right in their containers, silent and dark inside.

/** Silence, 16 bits, mono. */
export function wavOf(seconds = 0.1, sampleRateHz = 8000): Buffer {
  const samples = Buffer.alloc(Math.round(seconds * sampleRateHz) * 2)
  const head = Buffer.alloc(44)
  head.write('RIFF', 0)
  head.writeUInt32LE(36 + samples.length, 4)
  head.write('WAVEfmt ', 8)
  head.writeUInt32LE(16, 16)
  head.writeUInt16LE(1, 20)
  head.writeUInt16LE(1, 22)
  head.writeUInt32LE(sampleRateHz, 24)
  head.writeUInt32LE(sampleRateHz * 2, 28)
  head.writeUInt16LE(2, 32)
  head.writeUInt16LE(16, 34)
  head.write('data', 36)
  head.writeUInt32LE(samples.length, 40)
  return Buffer.concat([head, samples])
}

const mp3FrameBytes = 417

/** Frames of 128 kbit/s at 44.1 kHz behind a tag with this title; the first one says how many follow. */
export function mp3Of(framesCount = 10, title = 'Silence'): Buffer {
  const frame = (): Buffer => Buffer.concat([Buffer.from('fffb9064', 'hex'), Buffer.alloc(mp3FrameBytes - 4)])
  const first = frame()
  first.write('Info', 36)
  first.writeUInt32BE(1, 40)
  first.writeUInt32BE(framesCount, 44)
  const text = Buffer.from(`\x03${title}`)
  const tag = Buffer.alloc(10)
  tag.write('TIT2')
  tag.writeUInt32BE(text.length, 4)
  const id3 = Buffer.from('ID3\x03\0\0\0\0\0\0', 'latin1')
  id3.writeUInt8(tag.length + text.length, 9)
  return Buffer.concat([id3, tag, text, first, ...Array.from({ length: framesCount }, frame)])
}

/** A box of ISO base media. */
export function isoBox(type: string, ...content: Buffer[]): Buffer {
  const body = Buffer.concat(content)
  const head = Buffer.alloc(8)
  head.writeUInt32BE(8 + body.length)
  head.write(type, 4, 'latin1')
  return Buffer.concat([head, body])
}

/** A film of these seconds without any track. */
export function mp4Of(seconds = 2): Buffer {
  const header = Buffer.alloc(100)
  header.writeUInt32BE(1000, 12)
  header.writeUInt32BE(seconds * 1000, 16)
  header.writeUInt32BE(0x00010000, 20)
  const brands = Buffer.from('isom\0\0\x02\0isommp42', 'latin1')
  return Buffer.concat([
    isoBox('ftyp', brands),
    isoBox('moov', isoBox('mvhd', header)),
    isoBox('mdat', Buffer.alloc(500)),
  ])
}

/** One page of Ogg; `flags`: 2 begins a stream, 4 ends it. */
export function oggPage(content: Buffer, flags: number, serial = 1): Buffer {
  const head = Buffer.alloc(27)
  head.write('OggS')
  head.writeUInt8(flags, 5)
  head.writeUInt32LE(serial, 14)
  const segments = [...Array.from({ length: Math.floor(content.length / 255) }, () => 255), content.length % 255]
  head.writeUInt8(segments.length, 26)
  return Buffer.concat([head, Buffer.from(segments), content])
}
