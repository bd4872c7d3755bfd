// What an operation is, and what several of them share.

import { Type, type TProperties, type TSchema } from 'typebox'

export interface Operation {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS'
  /** Below /api/v1, with {name} for path parameters. */
  readonly path: string
  readonly tag: string
  readonly summary: string
  readonly params?: TSchema
  /** Other parameters are refused, unless the schema says that there may be some. */
  readonly query?: TSchema & { properties: TProperties; additionalProperties?: boolean }
  readonly body?: TSchema
  /** Set when the body is not JSON: a form, a piece of an upload (tus, which may be left out), or bytes of any type. */
  readonly bodyType?: 'multipart/form-data' | 'application/offset+octet-stream' | '*/*'
  /** Status of success. */
  readonly status: number
  readonly response?: TSchema
  /** Set when the answer is not JSON. */
  readonly responseType?: 'application/octet-stream' | 'text/event-stream'
}

/** Items of a list and the cursor of the next page, null on the last one. */
export const List = <Item extends TSchema>(item: Item) =>
  Type.Object({ items: Type.Array(item), next_cursor: Type.Union([Type.String(), Type.Null()]) })
export const listItemsMaxDefault = 50
export const page = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 200, default: listItemsMaxDefault })),
  cursor: Type.Optional(Type.String({ maxLength: 500 })),
}
export const JobParams = Type.Object({ job_id: Type.String({ maxLength: 100 }) })
export const OutputParams = Type.Object({
  job_id: Type.String({ maxLength: 100 }),
  output_id: Type.String({ maxLength: 100 }),
})
