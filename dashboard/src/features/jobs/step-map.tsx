import type { StepResource } from '@millrace/contract'
import { useMemo } from 'react'
import { stageLabels, stepLooks } from './job-state.ts'
import { layOutSteps, type GraphEdge, type GraphNode } from './step-graph.ts'

const nodeWidth = 132
const nodeHeight = 34
const gapX = 36
const gapY = 12
const headHeight = 26

const x = (node: GraphNode): number => node.column * (nodeWidth + gapX)
const y = (node: GraphNode): number => headHeight + node.row * (nodeHeight + gapY)

/** The graph of a job's steps as a picture. The list below it says all of it in words, so it is hidden from readers. */
export function StepMap({ steps }: { steps: StepResource[] }) {
  const graph = useMemo(() => layOutSteps(steps), [steps])
  const width = graph.columnsCount * (nodeWidth + gapX) - gapX
  const height = headHeight + graph.rowsCount * (nodeHeight + gapY) - gapY
  return (
    <div className="map panel" aria-hidden="true">
      <svg width={width + 4} height={height + 4} viewBox={`-2 -2 ${width + 4} ${height + 4}`}>
        {graph.stages.map(({ stage, column, columnsCount }) => (
          <g key={stage}>
            <text className="map-stage" x={column * (nodeWidth + gapX)} y={12}>
              {stageLabels[stage]}
            </text>
            <line
              className="map-rule"
              x1={column * (nodeWidth + gapX)}
              x2={(column + columnsCount) * (nodeWidth + gapX) - gapX}
              y1={18}
              y2={18}
            />
          </g>
        ))}
        {graph.edges.map((edge) => (
          <path key={`${edge.from.step.name} ${edge.to.step.name}`} className={edgeClass(edge)} d={curve(edge)} />
        ))}
        {graph.nodes.map((node) => (
          <MapNode key={node.step.name} node={node} />
        ))}
      </svg>
    </div>
  )
}

function MapNode({ node }: { node: GraphNode }) {
  const { step } = node
  const tasks = step.tasks_total > 1 ? ` ${step.tasks_done}/${step.tasks_total}` : ''
  return (
    <g className={`map-node is-${step.state}`} transform={`translate(${x(node)} ${y(node)})`}>
      <title>{`${step.name}: ${stepLooks[step.state].label.toLowerCase()}`}</title>
      <rect width={nodeWidth} height={nodeHeight} rx={8} />
      <circle cx={15} cy={nodeHeight / 2} r={4} />
      <text x={27} y={nodeHeight / 2 + 4.5}>
        {shorten(step.name, 15 - tasks.length)}
        {tasks && <tspan className="map-tasks">{tasks}</tspan>}
      </text>
    </g>
  )
}

/** From the right side of one node to the left side of the other. */
function curve({ from, to }: GraphEdge): string {
  const x1 = x(from) + nodeWidth
  const y1 = y(from) + nodeHeight / 2
  const x2 = x(to)
  const y2 = y(to) + nodeHeight / 2
  const bend = Math.min(Math.max((x2 - x1) / 2, 16), 60)
  return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`
}

const edgeClass = ({ from }: GraphEdge): string => `map-edge ${from.step.state === 'succeeded' ? 'is-passed' : ''}`
const shorten = (name: string, length: number): string =>
  name.length <= length ? name : `${name.slice(0, length - 1)}…`
