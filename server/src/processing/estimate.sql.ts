import type { Sql } from '../platform/database.ts'
import type { EstimateRow, EstimateStore, LearnedTime } from './estimates.ts'

/** More samples than this do not make a mean slower to follow what changes. */
const samplesMax = 200

export async function listEstimates(sql: Sql): Promise<EstimateRow[]> {
  const { rows } = await sql.query<EstimateRow>('select processor, size_class, mean_ms from step_estimate limit 10000')
  return rows
}

/** In the order of the keys, so that two who add do not wait for each other. */
export async function addEstimates(sql: Sql, learned: readonly LearnedTime[]): Promise<void> {
  await sql.query(
    `insert into step_estimate as e (processor, size_class, mean_ms, samples)
     select l.processor, l.size_class, l.sum_ms / l.count, l.count
     from unnest($1::text[], $2::smallint[], $3::float8[], $4::bigint[]) as l(processor, size_class, sum_ms, count)
     order by 1, 2
     on conflict (processor, size_class) do update set
       mean_ms = (e.mean_ms * least(e.samples, $5) + excluded.mean_ms * excluded.samples) / (least(e.samples, $5) + excluded.samples),
       samples = e.samples + excluded.samples`,
    [
      learned.map(({ processor }) => processor),
      learned.map(({ sizeClass }) => sizeClass),
      learned.map(({ sumMs }) => sumMs),
      learned.map(({ count }) => count),
      samplesMax,
    ],
  )
}

export const createEstimateStore = (sql: Sql): EstimateStore => ({
  listEstimates: () => listEstimates(sql),
  addEstimates: (learned) => addEstimates(sql, learned),
})
