import { useEffect, useRef, useState } from 'react'

/**
 * Lets files be dropped anywhere on the page; true while some are held over it. Also keeps the browser from leaving
 * the page for a file that was dropped beside the mark.
 */
export function useFileDrag(onDrop: (transfer: DataTransfer) => void): boolean {
  const [dragging, setDragging] = useState(false)
  const drop = useRef(onDrop)
  useEffect(() => {
    drop.current = onDrop
  })

  useEffect(() => {
    // Each element below the pointer sends its own enter and leave: the drag is over when they are even.
    let depth = 0
    const listeners: { [Kind in 'dragenter' | 'dragover' | 'dragleave' | 'drop']: (event: DragEvent) => void } = {
      dragenter(event) {
        if (!hasFiles(event)) return
        event.preventDefault()
        depth += 1
        setDragging(true)
      },
      dragover(event) {
        if (hasFiles(event)) event.preventDefault()
      },
      dragleave(event) {
        if (!hasFiles(event)) return
        depth = Math.max(depth - 1, 0)
        if (depth === 0) setDragging(false)
      },
      drop(event) {
        if (!hasFiles(event) || !event.dataTransfer) return
        event.preventDefault()
        depth = 0
        setDragging(false)
        drop.current(event.dataTransfer)
      },
    }
    for (const [kind, listener] of Object.entries(listeners)) window.addEventListener(kind as 'drop', listener)
    return () => {
      for (const [kind, listener] of Object.entries(listeners)) window.removeEventListener(kind as 'drop', listener)
    }
  }, [])

  return dragging
}

const hasFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes('Files') ?? false
