import type { Sql } from '../platform/database.ts'

interface Entry {
  tenantId: number
  fileId: number
  name: string
  contentType: string
  metadata: Record<string, unknown>
  body: string
  /** The same as words, see search-text.ts. */
  words: { name: string; pieces: string; metadata: string; body: string }
}

/** An entry that is hidden stays so. */
export async function upsertEntry(sql: Sql, entry: Entry): Promise<void> {
  const { words } = entry
  await sql.query(
    `insert into search_entry (tenant_id, file_id, name, content_type, metadata, body, document)
     values ($1, $2, $3, $4, $5, $6, search_document($7, $8, $9, $10))
     on conflict (file_id) do update set name = excluded.name, content_type = excluded.content_type,
       metadata = excluded.metadata, body = excluded.body, document = excluded.document, updated_at = now()`,
    [
      entry.tenantId,
      entry.fileId,
      entry.name,
      entry.contentType,
      JSON.stringify(entry.metadata),
      entry.body,
      words.name,
      words.pieces,
      words.metadata,
      words.body,
    ],
  )
}

export async function findEntry(
  sql: Sql,
  fileId: number,
): Promise<{ tenant_id: number; content_type: string; body: string } | undefined> {
  const { rows } = await sql.query<{ tenant_id: number; content_type: string; body: string }>(
    'select tenant_id, content_type, body from search_entry where file_id = $1 for update',
    [fileId],
  )
  return rows[0]
}

export async function hideEntry(sql: Sql, fileId: number, hidden: boolean): Promise<void> {
  await sql.query('update search_entry set hidden = $2 where file_id = $1', [fileId, hidden])
}

export async function deleteEntry(sql: Sql, fileId: number): Promise<void> {
  await sql.query('delete from search_entry where file_id = $1', [fileId])
}

export interface EntryRow {
  file_id: number
  name: string
  content_type: string
  metadata: Record<string, unknown>
  score: number
  /** The text around the first of the words, as far as that can be told. */
  body_part: string
}

export interface EntryQuery {
  required: readonly { words: string; isWord: boolean; unfinished: boolean }[]
  excluded: readonly string[]
  contentType?: string
  after?: { score: number; fileId: number }
  /** Of so many of the newest that match, the best are told. */
  candidatesCountMax: number
  limit: number
}

/** Bodies are looked through for a snippet up to here. */
const snippetBodyLengthMax = 200_000

/** Best first, then newest first. */
export async function searchEntries(sql: Sql, query: EntryQuery): Promise<EntryRow[]> {
  const values: unknown[] = []
  const $ = (value: unknown): string => `$${values.push(value)}`
  const words = wordsQuery(query, $)
  const type = query.contentType === undefined ? '' : `and ${typeCondition(query.contentType, $)}`
  const after =
    query.after && `where (score, file_id) < (${$(query.after.score)}::float8, ${$(query.after.fileId)}::bigint)`
  const { rows } = await sql.query<EntryRow>(
    `with q as (select ${words} as query),
     candidate as (
       select e.* from search_entry e, q where e.document @@ q.query and not e.hidden ${type}
       order by e.file_id desc limit ${$(query.candidatesCountMax)}
     ), ranked as (
       select c.*, ts_rank_cd('{0.05, 0.2, 0.5, 1.0}', c.document, q.query, 1)::float8 as score from candidate c, q
     )
     select file_id, name, content_type, metadata, score,
       substr(body, greatest(1, strpos(lower(left(body, ${snippetBodyLengthMax})), ${$(firstWord(query))}::text) - 200), 1500) as body_part
     from ranked ${after ?? ''} order by score desc, file_id desc limit ${$(query.limit)}`,
    values,
  )
  return rows
}

/** In the order of their files. */
export async function matchEntries(
  sql: Sql,
  query: Pick<EntryQuery, 'required' | 'excluded' | 'limit'> & { afterFileId: number },
): Promise<number[]> {
  const values: unknown[] = []
  const $ = (value: unknown): string => `$${values.push(value)}`
  const { rows } = await sql.query<{ file_id: number }>(
    `with q as (select ${wordsQuery(query, $)} as query)
     select e.file_id from search_entry e, q
     where e.document @@ q.query and not e.hidden and e.file_id > ${$(query.afterFileId)}
     order by e.file_id limit ${$(query.limit)}`,
    values,
  )
  return rows.map((row) => row.file_id)
}

function wordsQuery(query: Pick<EntryQuery, 'required' | 'excluded'>, $: (value: unknown) => string): string {
  const required = query.required.map(({ words, isWord, unfinished }) => {
    const parameter = `${$(words)}::text`
    const whole = `phraseto_tsquery('simple', ${parameter})`
    // A query's text ends with its last word, so what is appended belongs to that. No word, no query: null.
    const beginning = `(nullif(${whole}::text, '') || ':*')::tsquery`
    const piece = `(nullif(${whole}::text, '') || ':*D')::tsquery`
    return unfinished ? beginning : isWord ? `(${whole} || coalesce(${piece}, ''::tsquery))` : whole
  })
  const excluded = query.excluded.map((words) => `!!phraseto_tsquery('simple', ${$(words)}::text)`)
  return [...required, ...excluded].join(' && ')
}

const firstWord = ({ required }: EntryQuery): string => required[0]?.words.split(' ')[0] ?? ''

function typeCondition(contentType: string, $: (value: unknown) => string): string {
  const family = /^([^*]+\/)\*$/.exec(contentType)?.[1]
  return family === undefined ? `e.content_type = ${$(contentType)}` : `starts_with(e.content_type, ${$(family)})`
}
