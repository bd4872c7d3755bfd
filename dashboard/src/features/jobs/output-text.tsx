import type { OutputResource } from '@millrace/contract'
import { useQuery } from '@tanstack/react-query'
import { useApi, type Api } from '../../api.ts'
import { formatBytes } from '../../ui/format.ts'
import { JsonView } from '../../ui/json-view.tsx'
import { problemOf } from '../../ui/problem-of.ts'
import { ProblemNotice } from '../../ui/problem-notice.tsx'
import { Skeleton } from '../../ui/skeleton.tsx'

/** As much of a text as a page shows; the rest is in the download. */
const shownBytesMax = 200_000
/** A JSON document up to here is read whole and shown by its values. */
const jsonBytesMax = 1_000_000

/** The beginning of a text output, or a JSON document in readable form. */
export function OutputText({ output }: { output: OutputResource }) {
  const api = useApi()
  const { data, error } = useQuery({
    queryKey: ['output-text', output.download_url],
    queryFn: ({ signal }) => readText(api, output, signal),
    staleTime: Infinity,
    gcTime: 60_000,
  })
  if (error) return <ProblemNotice urgent problem={problemOf(error)} />
  if (!data) return <Skeleton rowsCount={6} label="Loading the text" />
  if (data.kind === 'json') return <JsonView value={data.value} label="JSON" />
  return (
    <>
      {/* Scrolls, so the keyboard must be able to reach it. */}
      <pre className="source" tabIndex={0}>
        {data.text}
      </pre>
      {data.cut && (
        <p className="muted">
          The first {formatBytes(shownBytesMax)} of {formatBytes(output.size_bytes)}; download it to see the rest.
        </p>
      )}
    </>
  )
}

type Shown = { kind: 'text'; text: string; cut: boolean } | { kind: 'json'; value: unknown }

async function readText(api: Api, output: OutputResource, signal: AbortSignal): Promise<Shown> {
  const json = /\bjson$/.test(output.content_type) && output.size_bytes <= jsonBytesMax
  const limitBytes = json ? jsonBytesMax : shownBytesMax
  const text = await readStart(await api.download(output.download_url, signal), limitBytes)
  if (json) {
    try {
      return { kind: 'json', value: JSON.parse(text) }
    } catch {
      // Named JSON but is not: shown as it is.
    }
  }
  return { kind: 'text', text, cut: output.size_bytes > limitBytes }
}

/** The first bytes of a body as text; the rest is not fetched. */
async function readStart(response: Response, limitBytes: number): Promise<string> {
  const reader = response.body?.getReader()
  if (!reader) return ''
  const decoder = new TextDecoder()
  let text = ''
  let readBytes = 0
  while (readBytes < limitBytes) {
    const { done, value } = await reader.read()
    if (done) return text + decoder.decode()
    text += decoder.decode(value.subarray(0, limitBytes - readBytes), { stream: true })
    readBytes += value.length
  }
  await reader.cancel()
  return text
}
