// The resource monitor: how much of its machine a worker uses.

import { cpus, platform } from 'node:os'
import { memoryUsage, pid } from 'node:process'
import { treeUsage } from './sandbox/process-usage.ts'

export interface ResourceSample {
  /** Share of the machine's CPU time since the sample before, from 0 to 1, by whomever. */
  cpuShare: number
  /** Resident memory of this process with its children; elsewhere than on Linux of this process alone. */
  memoryBytes: number
}

interface CpuTimes {
  busyMs: number
  totalMs: number
}

export function createResourceMonitor(): { sample(): ResourceSample } {
  let before = readCpuTimes()
  return {
    sample() {
      const now = readCpuTimes()
      const totalMs = now.totalMs - before.totalMs
      const cpuShare = totalMs > 0 ? (now.busyMs - before.busyMs) / totalMs : 0
      before = now
      return { cpuShare, memoryBytes: platform() === 'linux' ? treeUsage(pid).memoryBytes : memoryUsage.rss() }
    },
  }
}

function readCpuTimes(): CpuTimes {
  const times: CpuTimes = { busyMs: 0, totalMs: 0 }
  for (const { times: cpu } of cpus()) {
    const busyMs = cpu.user + cpu.nice + cpu.sys + cpu.irq
    times.busyMs += busyMs
    times.totalMs += busyMs + cpu.idle
  }
  return times
}
