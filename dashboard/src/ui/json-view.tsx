import { Fragment } from 'react'
import { CopyButton } from './copy-button.tsx'

const itemsShownMax = 100
const textShownMax = 2_000

/** A JSON value to be read by people: names and values in two columns, nested ones folded. */
export function JsonView({ value, label }: { value: unknown; label: string }) {
  return (
    <div className="json">
      <JsonValue value={value} depth={0} />
      <CopyButton text={JSON.stringify(value, null, 2)} label={`Copy ${label}`} />
    </div>
  )
}

function JsonValue({ value, depth }: { value: unknown; depth: number }) {
  if (value === null || value === undefined) return <span className="json-none">none</span>
  if (typeof value === 'boolean') return <span>{value ? 'yes' : 'no'}</span>
  if (typeof value === 'number') return <span className="json-number">{formatNumber(value)}</span>
  if (typeof value === 'string') return <JsonText text={value} />
  if (typeof value !== 'object') return <span className="json-none">unreadable</span>
  if (Array.isArray(value) && value.every(isScalar)) return <ScalarList items={value} />
  return <JsonEntries entries={Object.entries(value)} depth={depth} counted={Array.isArray(value)} />
}

function JsonText({ text }: { text: string }) {
  if (text === '') return <span className="json-none">empty</span>
  const cut = text.length > textShownMax
  return <span className="json-text">{cut ? `${text.slice(0, textShownMax)} …` : text}</span>
}

function ScalarList({ items }: { items: unknown[] }) {
  if (items.length === 0) return <span className="json-none">none</span>
  const shown = items.slice(0, itemsShownMax).map((item) => (typeof item === 'number' ? formatNumber(item) : item))
  const rest = items.length - shown.length
  return (
    <span className="json-text">
      {shown.join(', ')}
      {rest > 0 && ` and ${rest} more`}
    </span>
  )
}

function JsonEntries({ entries, depth, counted }: { entries: [string, unknown][]; depth: number; counted: boolean }) {
  if (entries.length === 0) return <span className="json-none">none</span>
  const rest = entries.length - itemsShownMax
  const list = (
    <dl className="json-entries">
      {entries.slice(0, itemsShownMax).map(([name, value]) => (
        <Fragment key={name}>
          <dt>{counted ? Number(name) + 1 : name}</dt>
          <dd>
            <JsonValue value={value} depth={depth + 1} />
          </dd>
        </Fragment>
      ))}
      {rest > 0 && (
        <>
          <dt>…</dt>
          <dd>{rest} more; copy to see all</dd>
        </>
      )}
    </dl>
  )
  if (depth === 0) return list
  return (
    <details open={depth < 2 && entries.length <= 6}>
      <summary>{counted ? `${entries.length} items` : `${entries.length} values`}</summary>
      {list}
    </details>
  )
}

const isScalar = (value: unknown): boolean => value === null || typeof value !== 'object'
const formatNumber = (value: number): string =>
  Number.isInteger(value) && Math.abs(value) < 10_000
    ? String(value)
    : value.toLocaleString('en', { maximumFractionDigits: 4 })
