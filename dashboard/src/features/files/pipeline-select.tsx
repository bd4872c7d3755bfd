import { useQuery } from '@tanstack/react-query'
import { useApi } from '../../api.ts'
import { pipelinesQuery } from '../../api/queries.ts'

/** Which pipeline to run; the empty name leaves it to the type of the file. */
export function PipelineSelect({
  id,
  value,
  onChange,
}: {
  id: string
  value: string
  onChange: (name: string) => void
}) {
  const pipelines = useQuery(pipelinesQuery(useApi()))
  return (
    <select id={id} value={value} onChange={(event) => onChange(event.target.value)}>
      <option value="">By type of file</option>
      {pipelines.data?.items.map(({ name }) => (
        <option key={name} value={name}>
          {name}
        </option>
      ))}
    </select>
  )
}
