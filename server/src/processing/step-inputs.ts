// Which files a step reads.

import type { PipelineDefinition } from './definition.ts'

/**
 * The sources of a step's files, in order and each once: 'original' or a step that has outputs. A source without outputs
 * stands for what it reads itself.
 */
export function resolveSources(
  definition: PipelineDefinition,
  name: string,
  outputsCount: (step: string) => number,
): string[] {
  const found = new Set<string>()
  const walk = (step: string): void => {
    const { inputs, needs } = definition.steps[step] ?? { needs: [] }
    const sources = inputs ?? needs
    if (sources.length === 0) found.add('original')
    for (const source of sources) {
      if (source === 'original' || outputsCount(source) > 0) found.add(source)
      else walk(source)
    }
  }
  walk(name)
  return [...found]
}
