import type { SearchHit } from '@millrace/contract'
import { keepPreviousData, useInfiniteQuery } from '@tanstack/react-query'
import { useEffect } from 'react'
import { Link, useSearchParams } from 'react-router'
import { useApi } from '../../api.ts'
import { searchQuery } from '../../api/queries.ts'
import { useAnnounce } from '../../ui/announcer.tsx'
import { EmptyState } from '../../ui/empty-state.tsx'
import { fileKindOf } from '../../ui/file-kind.ts'
import { formatCount } from '../../ui/format.ts'
import { Icon } from '../../ui/icon.tsx'
import { MoreButton } from '../../ui/more-button.tsx'
import { problemOf } from '../../ui/problem-of.ts'
import { ProblemNotice } from '../../ui/problem-notice.tsx'
import { Skeleton } from '../../ui/skeleton.tsx'
import { markWords, splitSnippet, type SnippetPart } from './snippet.ts'

/** What the search found, with the words in their surroundings. */
export function SearchPage() {
  const [params] = useSearchParams()
  const text = (params.get('q') ?? '').trim()
  return (
    <>
      <title>{text === '' ? 'Search · Millrace' : `${text} · Search · Millrace`}</title>
      <div className="page-head">
        <h1>Search</h1>
      </div>
      {text === '' ? (
        <EmptyState icon="search" title="What are you looking for?">
          Names of files, their metadata, and the text inside documents, all at once.
        </EmptyState>
      ) : (
        <Results text={text} />
      )}
    </>
  )
}

function Results({ text }: { text: string }) {
  const announce = useAnnounce()
  const query = useInfiniteQuery({ ...searchQuery(useApi(), text), placeholderData: keepPreviousData })
  const { data, error, hasNextPage, isPlaceholderData } = query
  const hits = data?.pages.flatMap((page) => page.items)
  const count = hits && `${formatCount(hits.length, 'file')}${hasNextPage ? ' and more' : ''} found`

  useEffect(() => {
    if (count && !isPlaceholderData) announce(count)
  }, [announce, count, isPlaceholderData])

  if (error && !isPlaceholderData) return <ProblemNotice urgent problem={problemOf(error)} />
  if (!hits) return <Skeleton rowsCount={5} label="Searching" />
  if (hits.length === 0) {
    return (
      <EmptyState icon="search" title={`Nothing found for “${text}”.`}>
        Files appear here once their pipeline has indexed them.
      </EmptyState>
    )
  }
  return (
    <div className={isPlaceholderData ? 'is-stale' : ''}>
      <p className="muted results-count">{count}</p>
      <ul className="panel rows" aria-label="Results">
        {hits.map((hit) => (
          <Hit key={hit.file_id} hit={hit} text={text} />
        ))}
      </ul>
      <MoreButton list={query} label="Show more" />
    </div>
  )
}

function Hit({ hit, text }: { hit: SearchHit; text: string }) {
  return (
    <li className="hit">
      <Icon name={fileKindOf(hit.content_type)} />
      <div className="hit-body">
        <Link to={`/files/${hit.file_id}`} className="name">
          <Marked parts={markWords(hit.name, text)} />
        </Link>
        {hit.snippet && (
          <p className="hit-snippet">
            <Marked parts={splitSnippet(hit.snippet)} />
          </p>
        )}
        <p className="muted sub">{[hit.content_type, ...metadataFacts(hit.metadata)].join(' · ')}</p>
      </div>
    </li>
  )
}

function Marked({ parts }: { parts: SnippetPart[] }) {
  // A part has no identity but its place.
  return parts.map((part, index) => (part.found ? <mark key={index}>{part.text}</mark> : part.text))
}

const factsCountMax = 3

/** The first few plain values of the metadata; nested ones are for the file's own page. */
function metadataFacts(metadata: Record<string, unknown>): string[] {
  return Object.entries(metadata)
    .filter(([, value]) => ['string', 'number', 'boolean'].includes(typeof value) && String(value).length <= 60)
    .slice(0, factsCountMax)
    .map(([name, value]) => `${name}: ${String(value)}`)
}
