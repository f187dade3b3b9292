import type { CkptdError } from '../../model/errors.ts'
import { type PaxRecords, parsePaxRecords, parsePaxSize } from './pax-records.ts'
import type { TarHeader } from './tar-header.ts'

/** What the headers in front of a member's own say about it. */
export interface TarExtensions {
  /** Whether this type is such a header; its body is then given to `add`. */
  accepts(type: string): boolean
  add(type: string, body: Buffer): void
  /** Whether something waits for its member. */
  readonly pending: boolean
  /** The member's header with everything applied; what was pending is used up. */
  apply(header: TarHeader): TarHeader
}

/** Larger extension headers are refused: a path has 2 KiB, all attributes of a file 64 KiB. */
export const MAX_EXTENSION_BYTES = 1024 * 1024

/** The largest size that the header's own twelve octal digits can hold. */
const MAX_OCTAL_SIZE = 0o77777777777

const KEYWORDS = ['path', 'linkpath', 'size'] as const

/**
 * The extension headers: GNU's long names (L, K), pax headers of one member (x, Solaris: X) and
 * of all (g). Wherever two of them, or one and the member's own header, could be read in two
 * ways they are refused: a reader that takes the other way would see another archive inside.
 * `refuse` makes the error about the archive at this place.
 */
export function tarExtensions(refuse: (why: string) => CkptdError): TarExtensions {
  let pax: PaxRecords | undefined
  let longName: Buffer | undefined
  let longLink: Buffer | undefined

  const parse = (body: Buffer): PaxRecords => {
    const records = parsePaxRecords(body)
    if (records === undefined) throw refuse('has a damaged pax header')
    for (const key of records.keys()) {
      if (key.startsWith('GNU.sparse.'))
        throw refuse('holds a GNU sparse file, which is not supported: pack it without --sparse')
      if (key.startsWith('GNU.volume.')) throw refuse('is one part of a multi-volume archive')
    }
    return records
  }
  const once = (known: unknown): void => {
    if (known !== undefined) throw refuse('has two headers of one kind before a single member')
  }
  const longText = (body: Buffer): Buffer => {
    const end = body.indexOf(0)
    if (end !== -1 && body.subarray(end).some((byte) => byte !== 0))
      throw refuse('has a long name with a NUL in it')
    return Buffer.from(end === -1 ? body : body.subarray(0, end))
  }
  /** The pax value where there is one, else the long name, else the header's own. */
  const choose = (key: string, long: Buffer | undefined, own: Buffer): Buffer => {
    const value = pax?.get(key)
    if (value === undefined || value.length === 0) return long ?? own
    if (value.includes(0)) throw refuse(`has a pax header whose ${key} contains a NUL`)
    if (long !== undefined && !long.equals(value))
      throw refuse(`has two headers that disagree about a member's ${key}`)
    return value
  }
  const chooseSize = (own: number | undefined): number | undefined => {
    const value = pax?.get('size')
    if (value === undefined || value.length === 0) return own
    const sizeBytes = parsePaxSize(value)
    if (sizeBytes === undefined) throw refuse('has a pax header whose size is no number')
    if (sizeBytes !== own && sizeBytes <= MAX_OCTAL_SIZE)
      throw refuse(
        `has two headers that disagree about a member's size: ${sizeBytes} and ${own ?? '?'} bytes`,
      )
    return sizeBytes
  }

  return {
    accepts: (type) => 'LKxXg'.includes(type),
    get pending() {
      return (pax ?? longName ?? longLink) !== undefined
    },
    add: (type, body) => {
      if (type === 'L') {
        once(longName)
        longName = longText(body)
      } else if (type === 'K') {
        once(longLink)
        longLink = longText(body)
      } else if (type === 'g') {
        const global = parse(body)
        for (const key of KEYWORDS)
          if (global.has(key))
            throw refuse(`has a global pax header that sets every member's ${key}`)
      } else {
        once(pax)
        pax = parse(body)
      }
    },
    apply: (header) => {
      const applied = {
        ...header,
        name: choose('path', longName, header.name),
        linkName: choose('linkpath', longLink, header.linkName),
        sizeBytes: chooseSize(header.sizeBytes),
      }
      pax = longName = longLink = undefined
      return applied
    },
  }
}
