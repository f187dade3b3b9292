import { isIP } from 'node:net'

interface Network {
  readonly address: string
  /** Leading bits that count. */
  readonly prefix: number
  readonly family: 'ipv4' | 'ipv6'
}

/** What is wrong with a text that `parseNetwork` refuses. */
export const NETWORK_RULE = 'is no network; a valid example: 10.20.0.0/16'

/** A network as CIDR, or a single address; undefined where it is neither. */
export function parseNetwork(text: string): Network | undefined {
  const [address = '', bits, more] = text.split('/')
  const version = isIP(address)
  const width = version === 4 ? 32 : 128
  const prefix = bits === undefined ? width : /^\d{1,3}$/.test(bits) ? Number(bits) : -1
  if (version === 0 || address.includes('%') || more !== undefined || prefix < 0 || prefix > width)
    return undefined
  return { address, prefix, family: version === 4 ? 'ipv4' : 'ipv6' }
}
