// The system calls that a sandboxed process is refused: those that reach the kernel's rarely used and often broken
// parts, other processes, keys, namespaces, clocks, and memory that no limit counts. Classic BPF, as seccomp(2) reads
// it, little-endian, for x86-64 and arm64. A refused call fails with EPERM; a call of a foreign architecture ends the
// process.

const deniedCalls: readonly { name: string; x64?: number; arm64?: number }[] = [
  { name: 'shmget', x64: 29, arm64: 194 }, // segments outlive and escape the memory watch
  { name: 'ptrace', x64: 101, arm64: 117 },
  { name: 'syslog', x64: 103, arm64: 116 },
  { name: 'uselib', x64: 134 },
  { name: 'personality', x64: 135, arm64: 92 },
  { name: 'vhangup', x64: 153, arm64: 58 },
  { name: 'modify_ldt', x64: 154 },
  { name: 'pivot_root', x64: 155, arm64: 41 },
  { name: 'adjtimex', x64: 159, arm64: 171 },
  { name: 'chroot', x64: 161, arm64: 51 },
  { name: 'acct', x64: 163, arm64: 89 },
  { name: 'settimeofday', x64: 164, arm64: 170 },
  { name: 'mount', x64: 165, arm64: 40 },
  { name: 'umount2', x64: 166, arm64: 39 },
  { name: 'swapon', x64: 167, arm64: 224 },
  { name: 'swapoff', x64: 168, arm64: 225 },
  { name: 'reboot', x64: 169, arm64: 142 },
  { name: 'sethostname', x64: 170, arm64: 161 },
  { name: 'setdomainname', x64: 171, arm64: 162 },
  { name: 'iopl', x64: 172 },
  { name: 'ioperm', x64: 173 },
  { name: 'init_module', x64: 175, arm64: 105 },
  { name: 'delete_module', x64: 176, arm64: 106 },
  { name: 'quotactl', x64: 179, arm64: 60 },
  { name: 'nfsservctl', x64: 180, arm64: 42 },
  { name: 'lookup_dcookie', x64: 212, arm64: 18 },
  { name: 'clock_settime', x64: 227, arm64: 112 },
  { name: 'kexec_load', x64: 246, arm64: 104 },
  { name: 'add_key', x64: 248, arm64: 217 },
  { name: 'request_key', x64: 249, arm64: 218 },
  { name: 'keyctl', x64: 250, arm64: 219 },
  { name: 'unshare', x64: 272, arm64: 97 },
  { name: 'perf_event_open', x64: 298, arm64: 241 },
  { name: 'name_to_handle_at', x64: 303, arm64: 264 },
  { name: 'open_by_handle_at', x64: 304, arm64: 265 },
  { name: 'clock_adjtime', x64: 305, arm64: 266 },
  { name: 'setns', x64: 308, arm64: 268 },
  { name: 'process_vm_readv', x64: 310, arm64: 270 },
  { name: 'process_vm_writev', x64: 311, arm64: 271 },
  { name: 'kcmp', x64: 312, arm64: 272 },
  { name: 'finit_module', x64: 313, arm64: 273 },
  { name: 'memfd_create', x64: 319, arm64: 279 }, // memory without an address: the memory watch cannot see it
  { name: 'kexec_file_load', x64: 320, arm64: 294 },
  { name: 'bpf', x64: 321, arm64: 280 },
  { name: 'userfaultfd', x64: 323, arm64: 282 },
  { name: 'io_uring_setup', x64: 425, arm64: 425 },
  { name: 'io_uring_enter', x64: 426, arm64: 426 },
  { name: 'io_uring_register', x64: 427, arm64: 427 },
  { name: 'open_tree', x64: 428, arm64: 428 },
  { name: 'move_mount', x64: 429, arm64: 429 },
  { name: 'fsopen', x64: 430, arm64: 430 },
  { name: 'fsconfig', x64: 431, arm64: 431 },
  { name: 'fsmount', x64: 432, arm64: 432 },
  { name: 'fspick', x64: 433, arm64: 433 },
  { name: 'pidfd_getfd', x64: 438, arm64: 438 },
  { name: 'process_madvise', x64: 440, arm64: 440 },
  { name: 'mount_setattr', x64: 442, arm64: 442 },
  { name: 'quotactl_fd', x64: 443, arm64: 443 },
  { name: 'memfd_secret', x64: 447, arm64: 447 },
]

const machines = {
  x64: { audit: 0xc000003e, ioctl: 16, socket: 41, clone: 56, clone3: 435 },
  arm64: { audit: 0xc00000b7, ioctl: 29, socket: 198, clone: 220, clone3: 435 },
} as const

export type FilterArch = keyof typeof machines
export const filterArchs = Object.keys(machines) as FilterArch[]
/** Calls that are refused whatever their arguments are. */
export const deniedCallsCount = deniedCalls.length

// Offsets in struct seccomp_data; the low word of an argument is enough for what is looked at here.
const callOffset = 0
const archOffset = 4
const argument = (index: number): number => 16 + 8 * index

const load = 0x20
const jumpIfEqual = 0x15
const jumpIfAtLeast = 0x35
const jumpIfAnyBit = 0x45
const answer = 0x06
const allow = 0x7fff_0000
const killProcess = 0x8000_0000
const refuse = (errno: number): number => 0x0005_0000 | errno
const eperm = 1
const enosys = 38

const afUnix = 1
const firstX32Call = 0x4000_0000
const namespaceFlags = 0x7e02_0000 // CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
const terminalRequests = [0x5412, 0x541c] // TIOCSTI and TIOCLINUX put words into a terminal's mouth

/** The filter for bwrap --seccomp. */
export function seccompFilter(arch: FilterArch): Buffer {
  const machine = machines[arch]
  const program: Buffer[] = []
  const add = (code: number, value: number, jumpTrue = 0, jumpFalse = 0): void => {
    const step = Buffer.alloc(8)
    step.writeUInt16LE(code, 0)
    step[2] = jumpTrue
    step[3] = jumpFalse
    step.writeUInt32LE(value >>> 0, 4)
    program.push(step)
  }
  const refuseCall = (call: number, errno = eperm): void => {
    add(jumpIfEqual, call, 0, 1)
    add(answer, refuse(errno))
  }

  add(load, archOffset)
  add(jumpIfEqual, machine.audit, 1, 0)
  add(answer, killProcess)
  add(load, callOffset)
  if (arch === 'x64') {
    add(jumpIfAtLeast, firstX32Call, 0, 1)
    add(answer, killProcess)
  }
  for (const call of deniedCalls) if (call[arch] !== undefined) refuseCall(call[arch])
  // Its flags lie in memory, which a filter cannot read; without it, libc falls back to clone, whose flags it can.
  refuseCall(machine.clone3, enosys)
  add(jumpIfEqual, machine.clone, 0, 4)
  add(load, argument(0))
  add(jumpIfAnyBit, namespaceFlags, 0, 1)
  add(answer, refuse(eperm))
  add(answer, allow)
  add(jumpIfEqual, machine.socket, 0, 4)
  add(load, argument(0))
  add(jumpIfEqual, afUnix, 1, 0)
  add(answer, refuse(eperm))
  add(answer, allow)
  add(jumpIfEqual, machine.ioctl, 0, 5)
  add(load, argument(1))
  for (const request of terminalRequests) refuseCall(request)
  add(answer, allow)
  return Buffer.concat(program)
}
