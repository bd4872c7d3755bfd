// millrace doctor: is every file accounted for, and what stands out.

import type { DoctorReport } from '@millrace/contract'
import { defineCommand } from '../command.ts'
import type { Console } from '../console.ts'
import { exitCodes } from '../failure.ts'
import { printable } from '../text.ts'

export const doctorCommand = defineCommand({
  summary: 'check the installation: every input accounted for, nothing stuck',
  details: 'For the operator. Exits with 1 when the installation is not healthy.',
  async run(_, __, { api, console }) {
    const report = await (await api()).call('getDoctorReport', {})
    if (console.json) console.printJson(report)
    else for (const line of reportLines(report, console.style)) console.print(line)
    return report.healthy ? exitCodes.done : exitCodes.failed
  },
})

const severityStyles = { info: 'dim', warning: 'yellow', error: 'red' } as const

function reportLines({ healthy, jobs, parts, stores, findings }: DoctorReport, style: Console['style']): string[] {
  const { inputs, done, failed, quarantined, cancelled, in_flight: inFlight } = jobs
  const sum = done + failed + quarantined + cancelled + inFlight
  return [
    healthy ? style('green', 'healthy') : style('red', 'not healthy'),
    `${inputs} inputs ${inputs === sum ? '=' : '≠'} ${done} done + ${failed} failed + ${quarantined} quarantined + ${cancelled} cancelled + ${inFlight} in flight`,
    ...Object.entries(parts).map(([part, what]) => `  ${printable(part)}: ${printable(what)}`),
    ...stores.map((store) => `  ${printable(store.name)} does: ${storeLine(store)}`),
    ...findings.flatMap(({ severity, code, detail, remedy }) => [
      '',
      `${style(severityStyles[severity], severity)} ${printable(code)}: ${printable(detail)}`,
      `  ${printable(remedy)}`,
    ]),
  ]
}

/** What the store was seen to do; what does not apply to it is left out. */
function storeLine(store: DoctorReport['stores'][number]): string {
  const answers: [string, boolean | null][] = [
    ['conditional put', store.conditional_put],
    ['ranges', store.range],
    ['list order', store.list_order],
    ['large objects', store.large_objects],
    ['small parts', store.small_parts],
    ['checksums', store.checksums],
  ]
  return [
    ...answers.flatMap(([what, does]) => (does === null ? [] : [`${what} ${does ? 'yes' : 'no'}`])),
    ...(store.versioning === null ? [] : [`versioning ${store.versioning}`]),
    `put ${store.put_ms.toFixed(1)} ms`,
    `get ${store.get_ms.toFixed(1)} ms`,
  ].join(', ')
}
