// Plans as the server really used them: auto_explain tells of each statement that it ran, those inside functions
// included, with the rows that each node met. An EXPLAIN by hand would show neither. Real servers only: the module is part
// of PostgreSQL, but the embedded database is built without it, and this login has to be a superuser.

import pg from 'pg'
import type { QueryResult, Sql } from '../platform/database.ts'

/** A node of EXPLAIN (format json, analyze): what of it is looked at. */
interface PlanNode {
  'Node Type': string
  'Relation Name'?: string
  'Index Name'?: string
  'Actual Rows'?: number
  'Actual Loops'?: number
  'Rows Removed by Filter'?: number
  'Rows Removed by Index Recheck'?: number
  Plans?: PlanNode[]
}

/** What the plans of some statements did, nested ones included. */
export interface PlanFacts {
  /** "table by index", a bitmap of the index included, or "table by Seq Scan". */
  scans: string[]
  /** Tables below a sort, with the rows that were sorted. */
  sorts: { table: string; rows: number }[]
  /** The most rows that one node met, those that it threw away included. */
  rowsMax: number
}

export interface PlanReader {
  sql: Sql
  /** Runs the work in a transaction that is rolled back, and answers what its statements did. */
  read(work: (sql: Sql) => Promise<unknown>): Promise<PlanFacts>
  close(): Promise<void>
}

const planBegin = 'plan:\n'

export async function createPlanReader(url: string): Promise<PlanReader> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  let nodes: PlanNode[] = []
  client.on('notice', ({ message = '' }) => {
    const at = message.indexOf(planBegin)
    if (at >= 0) nodes.push((JSON.parse(message.slice(at + planBegin.length)) as { Plan: PlanNode }).Plan)
  })
  await client.query(`load 'auto_explain';
    set auto_explain.log_min_duration = 0; set auto_explain.log_nested_statements = on; set auto_explain.log_analyze = on;
    set auto_explain.log_timing = off; set auto_explain.log_format = json; set auto_explain.log_level = notice;
    set jit = off; set max_parallel_workers_per_gather = 0`)
  const sql: Sql = {
    async query<Row extends object>(text: string, values?: readonly unknown[]): Promise<QueryResult<Row>> {
      const result = await client.query<Row & pg.QueryResultRow>(text, values && [...values])
      return { rows: result.rows, rowCount: result.rowCount ?? 0 }
    },
  }
  return {
    sql,
    async read(work) {
      await client.query('begin')
      nodes = []
      try {
        await work(sql)
        // Of a statement with parameters the plan is told when the next one takes its place.
        await client.query('select 1')
        return factsOf(nodes)
      } finally {
        await client.query('rollback')
      }
    },
    close: () => client.end(),
  }
}

function factsOf(plans: readonly PlanNode[]): PlanFacts {
  const scans = new Set<string>()
  const sorts = new Map<string, number>()
  let rowsMax = 0
  const visit = (node: PlanNode, sorted: number | undefined, heap: string | undefined): void => {
    const { 'Node Type': type, 'Relation Name': relation, 'Index Name': index, 'Actual Rows': rows = 0 } = node
    const removed = (node['Rows Removed by Filter'] ?? 0) + (node['Rows Removed by Index Recheck'] ?? 0)
    rowsMax = Math.max(rowsMax, (rows + removed) * (node['Actual Loops'] ?? 0))
    const table = relation ?? heap
    if (table !== undefined && type.endsWith('Scan') && type !== 'Bitmap Heap Scan') {
      scans.add(`${table} by ${index ?? type}`)
      if (sorted !== undefined) sorts.set(table, Math.max(sorts.get(table) ?? 0, sorted))
    }
    // What a sort was given, not what a limit above it took.
    const given = type.endsWith('Sort') ? (node.Plans?.[0]?.['Actual Rows'] ?? rows) : sorted
    for (const child of node.Plans ?? []) visit(child, given, type === 'Bitmap Heap Scan' ? relation : heap)
  }
  for (const plan of plans) visit(plan, undefined, undefined)
  return { scans: [...scans].sort(), sorts: [...sorts].map(([table, rows]) => ({ table, rows })), rowsMax }
}
