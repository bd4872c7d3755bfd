// The result of data.profile, read by the report and by people. Snake case, because it leaves through the API.

export interface ProfileColumn {
  name: string
  type: string
  kind: 'number' | 'text' | 'time' | 'bool' | 'nested'
  nulls_count: number
  /** Close to the truth, not exact, above some thousands. */
  distinct_count: number
  min: string | null
  max: string | null
  mean: number | null
  standard_deviation: number | null
  quantiles: { p25: number; p50: number; p75: number } | null
  /** Values from `from` up to `to`; the last bar holds its end too. */
  histogram: { from: number; to: number; count: number }[] | null
  top: { value: string; count: number }[]
}

export interface TableProfile {
  kind: 'table-profile'
  format: string
  rows_count: number
  columns_count: number
  /** Records of the file that are no rows. */
  skipped_rows_count: number
  columns: ProfileColumn[]
}
