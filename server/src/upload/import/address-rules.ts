// Which addresses the server may be sent to by somebody's URL. Everything that is not public unicast is forbidden: our
// own machine and network, those of the cloud that we may run in, and every notation that leads there by a detour
// (mapped, translated and tunnelled addresses). IANA's special-purpose registries as of 2026.

import { BlockList, isIP } from 'node:net'

export interface AddressRules {
  allowsAddress(address: string): boolean
  allowsPort(port: number): boolean
}

const forbiddenV4 = [
  ['0.0.0.0', 8], // this network
  ['10.0.0.0', 8],
  ['100.64.0.0', 10], // carriers' translators, and one cloud's metadata
  ['127.0.0.0', 8],
  ['168.63.129.16', 32], // a cloud's host, on a public address
  ['169.254.0.0', 16], // link-local, and most clouds' metadata
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24], // 6to4 relays
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3], // multicast, reserved, broadcast
] as const

/** The only public unicast there is; loopback, mapped, translated, local and multicast addresses all lie outside. */
const publicV6 = ['2000::', 3] as const

const forbiddenV6 = [
  ['2001::', 23], // protocols: Teredo, benchmarks, ORCHID
  ['2001:db8::', 32],
  ['2002::', 16], // 6to4: any IPv4 address inside
  ['3fff::', 20],
] as const

const portsDefault: readonly number[] = [80, 443, 8080, 8443]

/** With allowPrivate, for intranets and tests, every address and port may be reached. */
export function createAddressRules({ allowPrivate }: { allowPrivate: boolean }): AddressRules {
  const forbidden = new BlockList()
  const allowedV6 = new BlockList()
  for (const [address, bits] of forbiddenV4) forbidden.addSubnet(address, bits, 'ipv4')
  for (const [address, bits] of forbiddenV6) forbidden.addSubnet(address, bits, 'ipv6')
  allowedV6.addSubnet(...publicV6, 'ipv6')
  return {
    allowsPort: (port) => allowPrivate || portsDefault.includes(port),
    allowsAddress(address) {
      if (allowPrivate) return isIP(address) !== 0
      // A zone belongs to link-local addresses only.
      if (address.includes('%')) return false
      if (isIP(address) === 4) return !forbidden.check(address, 'ipv4')
      return isIP(address) === 6 && allowedV6.check(address, 'ipv6') && !forbidden.check(address, 'ipv6')
    },
  }
}
