// How a run file is written: defineRun(processor, work) gives `work` its parameters checked and completed with their
// defaults, and turns a Problem thrown on the way into a rejection. Everything else that is thrown is a bug of ours
// and is left to whoever runs it. Loaded only where run files are.

import type { Static, TObject } from 'typebox'
import { Value } from 'typebox/value'
import { Problem } from '../platform/problem.ts'
import { reject, type InputFile, type Processor, type ProcessorOutcome, type SandboxRun } from './processor.ts'
import type { SandboxedProcessor } from './processor.ts'

export interface TypedRun<Parameters extends TObject> extends Omit<SandboxRun, 'parameters'> {
  parameters: Static<Parameters>
}

/** The work of `processor`; rejects with parameters_invalid what does not fit its schema. */
export function defineRun<Parameters extends TObject>(
  processor: Processor<Parameters>,
  work: (run: TypedRun<Parameters>) => Promise<ProcessorOutcome>,
): SandboxedProcessor {
  return async (run) => {
    const parameters: unknown = Value.Default(processor.parameters, structuredClone(run.parameters))
    if (!Value.Check(processor.parameters, parameters)) {
      const [first] = Value.Errors(processor.parameters, parameters)
      return reject('parameters_invalid', `${first?.instancePath || '/'} ${first?.message ?? 'is not valid'}.`)
    }
    try {
      return await work({ ...run, parameters })
    } catch (error) {
      if (error instanceof Problem) return reject(error.code, error.detail ?? error.message)
      throw error
    }
  }
}

/** The one file that a processor of single files works on; the last one, when steps before have added theirs. */
export function inputOf(run: { files: InputFile[] }): InputFile {
  const file = run.files.at(-1)
  if (file === undefined) throw new Problem('parameters_invalid', { detail: 'The step was given no file to work on.' })
  return file
}
