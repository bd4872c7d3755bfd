// The icons of all pages: one stroke, one size, drawn for a field of 20 by 20. They are ornament; the text beside
// them or the label of their button says what they mean.

const shapes = {
  archive: 'M3 5h14v3H3zM4.5 8v8h11V8M8 11.2h4',
  audio: 'M8 15V5.5l8-1.5v9.5M8 15a2 2 0 1 1-4 0 2 2 0 0 1 4 0ZM16 13.5a2 2 0 1 1-4 0 2 2 0 0 1 4 0Z',
  check: 'M4.5 10.5 8.2 14l7.3-8',
  chevron: 'm7.5 5 5 5-5 5',
  clock: 'M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14ZM10 6v4.2l2.6 1.6',
  close: 'm5 5 10 10M15 5 5 15',
  copy: 'M7 7h9v9H7zM13 7V4H4v9h3',
  cross: 'm6 6 8 8M14 6l-8 8',
  document: 'M5 2.5h6.5L15 6v11.5H5zM11 2.5V6.5h4M7.5 10h5M7.5 13h5',
  download: 'M10 3v9.5M6 9l4 4 4-4M4 16.5h12',
  eye: 'M2.5 10S5 5 10 5s7.5 5 7.5 5-2.5 5-7.5 5-7.5-5-7.5-5ZM10 12a2 2 0 1 0 0-4 2 2 0 0 0 0 4Z',
  folder: 'M2.5 5h5l2 2.2h8V16h-15z',
  image: 'M3 4h14v12H3zM3 13l4-4 3.5 3.5L13 10l4 4M12.5 7.5h.01',
  minus: 'M5 10h10',
  other: 'M5 2.5h6.5L15 6v11.5H5zM11 2.5V6.5h4',
  pause: 'M7.5 5v10M12.5 5v10',
  retry: 'M15.5 8A6 6 0 1 0 16 11.5M16 4v4h-4',
  search: 'M9 14.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11ZM13 13l4 4',
  sign_out: 'M8 3.5H4v13h4M8.5 10H17M13.5 6.5 17 10l-3.5 3.5',
  table: 'M3 4h14v12H3zM3 8h14M3 12h14M8 8v8',
  text: 'M4 5h12M4 9h12M4 13h8',
  upload: 'M10 14V4.5M6 8l4-4 4 4M4 16.5h12',
  video: 'M3 5h10v10H3zM13 9l4-2.5v7L13 11',
  warning: 'M10 3.5 17.5 16.5h-15zM10 8.5v3.5M10 14.3h.01',
} as const

export type IconName = keyof typeof shapes

export function Icon({ name, className }: { name: IconName; className?: string }) {
  return (
    <svg className={`icon ${className ?? ''}`} viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      <path d={shapes[name]} />
    </svg>
  )
}
