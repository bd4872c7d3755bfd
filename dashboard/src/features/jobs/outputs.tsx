import type { JobResource, OutputResource } from '@millrace/contract'
import { useState } from 'react'
import { fileKindOf, previewOf } from '../../ui/file-kind.ts'
import { formatBytes, formatCount } from '../../ui/format.ts'
import { Icon } from '../../ui/icon.tsx'
import { useInView } from '../../ui/use-in-view.ts'
import { isThumbnailable, OutputDialog, OutputDownload, Thumbnail } from './output-content.tsx'

const shownFirstCount = 24

/** The files a job made: pictures as pictures, the rest as a list, each to be opened or downloaded. */
export function Outputs({ job }: { job: JobResource }) {
  const [opened, setOpened] = useState<OutputResource | null>(null)
  const pictures = job.outputs.filter(isThumbnailable)
  const others = job.outputs.filter((output) => !isThumbnailable(output))
  return (
    <>
      {others.length > 0 && (
        <ShowMore items={others} className="panel rows" label="Output files">
          {(output) => <OutputRow key={output.output_id} output={output} onOpen={() => setOpened(output)} />}
        </ShowMore>
      )}
      {pictures.length > 0 && (
        <ShowMore items={pictures} className="gallery" label="Output pictures">
          {(output) => <Picture key={output.output_id} output={output} onOpen={() => setOpened(output)} />}
        </ShowMore>
      )}
      {opened && <OutputDialog jobId={job.job_id} output={opened} onClose={() => setOpened(null)} />}
    </>
  )
}

function ShowMore({
  items,
  className,
  label,
  children,
}: {
  items: OutputResource[]
  className: string
  label: string
  children: (output: OutputResource) => React.ReactNode
}) {
  const [shownCount, setShownCount] = useState(shownFirstCount)
  const rest = items.length - shownCount
  return (
    <>
      <ul className={className} aria-label={label}>
        {items.slice(0, shownCount).map(children)}
      </ul>
      {rest > 0 && (
        <p className="more">
          <button type="button" className="button" onClick={() => setShownCount(shownCount + shownFirstCount * 4)}>
            Show more ({rest} left)
          </button>
        </p>
      )}
    </>
  )
}

function OutputRow({ output, onOpen }: { output: OutputResource; onOpen: () => void }) {
  const openable = previewOf(output.content_type) !== null
  return (
    <li className="output-row">
      <Icon name={fileKindOf(output.content_type)} />
      <span className="output-name">
        {openable ? (
          <button type="button" className="link name" onClick={onOpen}>
            {output.name}
          </button>
        ) : (
          <span className="name">{output.name}</span>
        )}
        <span className="muted sub">
          {output.step} · {output.content_type}
        </span>
      </span>
      <span className="muted figures">{formatBytes(output.size_bytes)}</span>
      <OutputDownload output={output} />
    </li>
  )
}

function Picture({ output, onOpen }: { output: OutputResource; onOpen: () => void }) {
  const [item, seen] = useInView<HTMLLIElement>()
  return (
    <li ref={item} className="picture">
      <button type="button" className="picture-open" onClick={onOpen} aria-label={`Open ${output.name}`}>
        {seen ? <Thumbnail output={output} alt="" /> : <span className="thumb is-loading" />}
      </button>
      <span className="picture-name">
        <span className="name">{output.name}</span>
        <span className="muted sub figures">{formatBytes(output.size_bytes)}</span>
      </span>
      <OutputDownload output={output} />
    </li>
  )
}

/** What there is to take away, in one line. */
export const outputsTitle = (job: JobResource): string =>
  job.outputs.length === 0 ? 'Outputs' : `Outputs · ${formatCount(job.outputs.length, 'file')}`
