import { BlockList, isIP } from 'node:net'
import { CkptdError } from '../model/errors.ts'
import { ipv6Groups } from './ipv6-groups.ts'
import { NETWORK_RULE, parseNetwork } from './network.ts'

/** Decides whether an address may be connected to: nobody reaches the host's own networks through it. */
export interface AddressGuard {
  /** What kind of forbidden address it is; undefined where it may be connected to. */
  refusal(address: string): string | undefined
}

/** Every range that is not the public internet, and what it is. */
const REFUSED_IPV4 = [
  ['0.0.0.0/8', 'unspecified'],
  ['10.0.0.0/8', 'private'],
  ['100.64.0.0/10', 'shared (carrier)'],
  ['127.0.0.0/8', 'loopback'],
  ['168.63.129.16/32', 'cloud platform'],
  ['169.254.0.0/16', 'link-local'],
  ['172.16.0.0/12', 'private'],
  ['192.0.0.0/24', 'special-purpose'],
  ['192.0.2.0/24', 'documentation'],
  ['192.88.99.0/24', 'relay'],
  ['192.168.0.0/16', 'private'],
  ['198.18.0.0/15', 'benchmark'],
  ['198.51.100.0/24', 'documentation'],
  ['203.0.113.0/24', 'documentation'],
  ['224.0.0.0/4', 'multicast'],
  ['240.0.0.0/4', 'reserved or broadcast'],
] as const

const REFUSED_IPV6 = [
  ['::/128', 'unspecified'],
  ['::1/128', 'loopback'],
  ['fc00::/7', 'private (unique local)'],
  ['fe80::/10', 'link-local'],
  ['fec0::/10', 'site-local'],
  ['ff00::/8', 'multicast'],
  ['2001:db8::/32', 'documentation'],
  ['3fff::/20', 'documentation'],
] as const

/** `allowNetworks`: what the operator allows, as CIDR or single addresses. */
export function createAddressGuard(allowNetworks: readonly string[]): AddressGuard {
  const allowed = new BlockList()
  for (const network of allowNetworks) addNetwork(allowed, network)
  const refused = [...REFUSED_IPV4, ...REFUSED_IPV6].map(([network, kind]) => {
    const list = new BlockList()
    addNetwork(list, network)
    return { list, kind }
  })

  const refusalOf = (address: string): string | undefined => {
    const version = isIP(address)
    if (version === 0 || address.includes('%')) return 'unreadable'
    const family = version === 4 ? 'ipv4' : 'ipv6'
    if (allowed.check(address, family)) return undefined
    const known = refused.find(({ list }) => list.check(address, family))
    if (known !== undefined) return known.kind
    return version === 6 ? refusalOfIpv6(address) : undefined
  }

  const refusalOfIpv6 = (address: string): string | undefined => {
    const groups = ipv6Groups(address)
    if (groups === undefined) return 'unreadable'
    const embedded = embeddedIpv4(groups)
    if (embedded !== undefined) {
      for (const inner of embedded.addresses) {
        const kind = refusalOf(inner)
        if (kind !== undefined) return `${kind} address in ${embedded.form} form`
      }
      return undefined
    }
    // What is not global unicast (2000::/3) is nobody's public server.
    return ((groups[0] ?? 0) & 0xe000) === 0x2000 ? undefined : 'special-purpose'
  }
  return { refusal: refusalOf }
}

function addNetwork(list: BlockList, text: string): void {
  const network = parseNetwork(text)
  if (network === undefined) throw new CkptdError('invalid_config', `"${text}" ${NETWORK_RULE}`)
  list.addSubnet(network.address, network.prefix, network.family)
}

/** The IPv4 addresses that packets to an IPv6 address may end at. */
function embeddedIpv4(
  groups: readonly number[],
): { form: string; addresses: readonly string[] } | undefined {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = groups
  const last = dotted(g, h)
  if (a === 0 && b === 0 && c === 0 && d === 0) {
    if (e === 0 && f === 0xffff) return { form: 'IPv4-mapped', addresses: [last] }
    if (e === 0xffff && f === 0) return { form: 'IPv4-translated', addresses: [last] }
  }
  if (a === 0x64 && b === 0xff9b && c === 0 && d === 0 && e === 0 && f === 0)
    return { form: 'NAT64', addresses: [last] }
  if (a === 0x2002) return { form: '6to4', addresses: [dotted(b, c)] }
  if (a === 0x2001 && b === 0)
    return { form: 'Teredo', addresses: [dotted(c, d), dotted(g ^ 0xffff, h ^ 0xffff)] }
  return undefined
}

function dotted(high: number, low: number): string {
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`
}
