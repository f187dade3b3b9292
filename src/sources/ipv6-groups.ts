import { isIPv6 } from 'node:net'

/** The eight 16-bit groups of an IPv6 address; undefined where it is none or has a zone. */
export function ipv6Groups(address: string): number[] | undefined {
  if (!isIPv6(address) || address.includes('%')) return undefined
  // A dotted tail stands for the last two groups.
  const tail = /(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address)
  const plain =
    tail === null
      ? address
      : `${address.slice(0, tail.index)}${hex(tail[1], tail[2])}:${hex(tail[3], tail[4])}`
  const [left = '', right] = plain.split('::')
  const head = numbers(left)
  if (right === undefined) return head
  const end = numbers(right)
  const zeros = Array.from({ length: 8 - head.length - end.length }, () => 0)
  return [...head, ...zeros, ...end]
}

function hex(high: string | undefined, low: string | undefined): string {
  return ((Number(high) << 8) | Number(low)).toString(16)
}

function numbers(groups: string): number[] {
  return groups === '' ? [] : groups.split(':').map((group) => Number.parseInt(group, 16))
}
