/** Holds the place of rows that are on their way, so that nothing jumps when they come. */
export function Skeleton({ rowsCount, label }: { rowsCount: number; label: string }) {
  return (
    <div className="skeleton" role="status">
      <span className="visually-hidden">{label}</span>
      {Array.from({ length: rowsCount }, (_, row) => (
        <div key={row} className="skeleton-row" aria-hidden="true" />
      ))}
    </div>
  )
}
