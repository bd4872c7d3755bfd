// Where the steps of a job stand in its picture: a column for each depth within a stage, stages from left to right,
// every edge from an earlier column to a later one.

import { stageOrder, type StageName, type StepResource } from '@millrace/contract'

export interface GraphNode {
  step: StepResource
  column: number
  row: number
}

export interface GraphEdge {
  from: GraphNode
  to: GraphNode
}

export interface StepGraph {
  nodes: GraphNode[]
  edges: GraphEdge[]
  columnsCount: number
  rowsCount: number
  /** Stages from left to right, each with its first column and how many it takes. */
  stages: { stage: StageName; column: number; columnsCount: number }[]
}

/** Lays out the steps; names in `needs` that are not steps of the job are ignored. */
export function layOutSteps(steps: StepResource[]): StepGraph {
  const byName = new Map(steps.map((step) => [step.name, step]))
  const depths = depthsWithinStages(steps, byName)
  const stages = stageColumns(steps, depths)
  const firstColumns = new Map(stages.map(({ stage, column }) => [stage, column]))

  const nodes = new Map<string, GraphNode>()
  const rowsUsed = new Map<number, number>()
  for (const step of steps.toSorted((one, other) => stageOrder(one.stage) - stageOrder(other.stage))) {
    const column = (firstColumns.get(step.stage) ?? 0) + (depths.get(step.name) ?? 0)
    const row = rowsUsed.get(column) ?? 0
    rowsUsed.set(column, row + 1)
    nodes.set(step.name, { step, column, row })
  }

  const edges: GraphEdge[] = []
  for (const to of nodes.values()) {
    for (const name of to.step.needs) {
      const from = nodes.get(name)
      if (from) edges.push({ from, to })
    }
  }
  return {
    nodes: [...nodes.values()],
    edges,
    columnsCount: stages.reduce((sum, { columnsCount }) => sum + columnsCount, 0),
    rowsCount: Math.max(0, ...rowsUsed.values()),
    stages,
  }
}

/** How many steps of its own stage stand before a step. The server refuses cycles; one here ends the count. */
function depthsWithinStages(steps: StepResource[], byName: Map<string, StepResource>): Map<string, number> {
  const depths = new Map<string, number>()
  function depthOf(step: StepResource, path: ReadonlySet<string>): number {
    const known = depths.get(step.name)
    if (known !== undefined) return known
    const before = step.needs
      .map((name) => byName.get(name))
      .filter((need) => need !== undefined && need.stage === step.stage && !path.has(need.name))
    const depth = Math.max(0, ...before.map((need) => (need ? depthOf(need, new Set([...path, step.name])) + 1 : 0)))
    depths.set(step.name, depth)
    return depth
  }
  for (const step of steps) depthOf(step, new Set([step.name]))
  return depths
}

function stageColumns(steps: StepResource[], depths: Map<string, number>): StepGraph['stages'] {
  const widths = new Map<StageName, number>()
  for (const step of steps) {
    widths.set(step.stage, Math.max(widths.get(step.stage) ?? 0, (depths.get(step.name) ?? 0) + 1))
  }
  let column = 0
  return [...widths]
    .toSorted(([one], [other]) => stageOrder(one) - stageOrder(other))
    .map(([stage, columnsCount]) => {
      const placed = { stage, column, columnsCount }
      column += columnsCount
      return placed
    })
}
