// Server-sent events as they come off the wire.

import type { EventResource } from '@millrace/contract'

export interface Told {
  /** What to come back with as Last-Event-ID. */
  id: string
  event: EventResource
}

/** A message of a stream; one without data is a place to come back to. */
export interface Message {
  id: string
  data: string
}

/** The messages of a stream until it ends, or until whoever reads has had enough. */
export async function* readMessages(answer: Response): AsyncGenerator<Message, void, undefined> {
  let text = ''
  for await (const chunk of (answer.body ?? new ReadableStream<Uint8Array>()).pipeThrough(new TextDecoderStream())) {
    text += chunk
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const block = text.slice(0, end)
      text = text.slice(end + 2)
      const id = /^id: ?(.*)$/m.exec(block)?.[1]
      const data = /^data: ?(.*)$/m.exec(block)?.[1]
      if (id !== undefined) yield { id, data: data ?? '' }
    }
  }
}

/** The events of a stream, likewise. */
export async function* readEvents(answer: Response): AsyncGenerator<Told, void, undefined> {
  for await (const { id, data } of readMessages(answer)) {
    // What the contract says an event is; a wrong shape fails whoever reads it.
    if (data !== '') yield { id, event: JSON.parse(data) as EventResource }
  }
}
