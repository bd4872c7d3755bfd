import { expect, test } from 'vitest'
import { filterArchs, seccompFilter, type FilterArch } from './seccomp.ts'

interface Call {
  arch: number
  call: number
  arguments?: number[]
}

/** Runs the filter as the kernel would: the subset of classic BPF that it uses. Stops on anything else. */
function verdict(arch: FilterArch, { arch: audit, call, arguments: values = [] }: Call): string {
  const filter = seccompFilter(arch)
  const data = Buffer.alloc(64)
  data.writeUInt32LE(call >>> 0, 0)
  data.writeUInt32LE(audit, 4)
  values.forEach((value, index) => data.writeUInt32LE(value >>> 0, 16 + 8 * index))
  let accumulator = 0
  for (let at = 0; at < filter.length; at += 8) {
    const code = filter.readUInt16LE(at)
    const value = filter.readUInt32LE(at + 4)
    const jump = (condition: boolean): number => 8 * filter[at + (condition ? 2 : 3)]!
    if (code === 0x20) accumulator = data.readUInt32LE(value)
    else if (code === 0x15) at += jump(accumulator === value)
    else if (code === 0x35) at += jump(accumulator >= value)
    else if (code === 0x45) at += jump((accumulator & value) !== 0)
    else if (code === 0x06) return answers[value] ?? `errno ${value & 0xffff}`
    else throw new Error(`unknown instruction ${code}`)
  }
  throw new Error('the filter has no end')
}

const answers: Record<number, string> = { 0x7fff0000: 'allow', 0x80000000: 'kill' }
const audits = { x64: 0xc000003e, arm64: 0xc00000b7 }
const refused = 'errno 1'

test.each(filterArchs)('the filter for %s refuses what opens the kernel and allows ordinary work', (arch) => {
  const names = {
    x64: { read: 0, socket: 41, clone: 56, mount: 165, ptrace: 101, bpf: 321, keyctl: 250, execve: 59, ioctl: 16 },
    arm64: { read: 63, socket: 198, clone: 220, mount: 40, ptrace: 117, bpf: 280, keyctl: 219, execve: 221, ioctl: 29 },
  }[arch]
  const on = (call: number, ...values: number[]) => verdict(arch, { arch: audits[arch], call, arguments: values })
  expect(on(names.read)).toBe('allow')
  expect(on(names.execve)).toBe('allow')
  for (const call of [names.mount, names.ptrace, names.bpf, names.keyctl, 425, 428, 442]) expect(on(call)).toBe(refused)
  const [afUnix, afInet, afInet6, afNetlink, afVsock] = [1, 2, 10, 16, 40]
  expect(on(names.socket, afUnix)).toBe('allow')
  for (const family of [afInet, afInet6, afNetlink, afVsock]) expect(on(names.socket, family)).toBe(refused)
  const threadFlags = 0x3d0f00
  expect(on(names.clone, threadFlags)).toBe('allow')
  for (const bit of [0x20000, 0x10000000, 0x20000000, 0x40000000]) expect(on(names.clone, bit | 17)).toBe(refused)
  expect(on(435)).toBe('errno 38')
  expect(on(names.ioctl, 0, 0x5401)).toBe('allow')
  for (const request of [0x5412, 0x541c]) expect(on(names.ioctl, 0, request)).toBe(refused)
})

test('a call of a foreign architecture ends the process', () => {
  expect(verdict('x64', { arch: 0x40000003, call: 0 })).toBe('kill')
  expect(verdict('x64', { arch: audits.x64, call: 0x40000000 + 41 })).toBe('kill')
  expect(verdict('arm64', { arch: audits.x64, call: 0 })).toBe('kill')
})
