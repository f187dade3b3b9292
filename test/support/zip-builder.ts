import { crc32, deflateRawSync } from 'node:zlib'

/**
 * A zip record by record. Whatever is given here wins over what would be right, separately for
 * the local header and for the directory, so that a test can make the two disagree.
 */
export interface ZipMemberSpec {
  readonly name: string | Buffer
  readonly data?: string | Buffer
  readonly method?: number
  /** The bytes stored, where they are not what `method` makes of `data`. */
  readonly packed?: Buffer
  readonly flags?: number
  /** A Unix mode with its type, as by an archiver on Unix; without it, by one on DOS. */
  readonly mode?: number
  readonly crc?: number
  readonly size?: number
  readonly packedSize?: number
  readonly localName?: string | Buffer
  readonly localSize?: number
  readonly localCrc?: number
  readonly localMethod?: number
  readonly extra?: Buffer
  readonly localExtra?: Buffer
  /** Where the directory says the member is. */
  readonly offset?: number
  /** Behind the data; without it none, with `true` the right one. */
  readonly descriptor?: Buffer | true
  /** No local header and no data: a line of the directory alone. */
  readonly onlyListed?: boolean
}

export interface ZipSpec {
  readonly comment?: Buffer
  readonly entryCount?: number
  readonly directoryBytes?: number
  readonly directoryOffset?: number
  readonly disk?: number
  readonly prepend?: Buffer
  readonly append?: Buffer
  readonly zip64?: boolean
}

export function extraField(id: number, data: Buffer): Buffer {
  const head = Buffer.alloc(4)
  head.writeUInt16LE(id, 0)
  head.writeUInt16LE(data.length, 2)
  return Buffer.concat([head, data])
}

export function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}

export function zipArchive(members: readonly ZipMemberSpec[], spec: ZipSpec = {}): Buffer {
  const pieces: Buffer[] = []
  const lines: Buffer[] = []
  let at = 0
  const push = (piece: Buffer): void => {
    pieces.push(piece)
    at += piece.length
  }
  for (const member of members) {
    const values = valuesOf(member)
    lines.push(directoryLine(member, values, member.offset ?? at))
    if (member.onlyListed) continue
    push(localHeader(member, values))
    push(values.packed)
    if (member.descriptor !== undefined)
      push(member.descriptor === true ? descriptor(values) : member.descriptor)
  }
  const directory = Buffer.concat(lines)
  const end = endRecords(at, directory.length, members.length, spec)
  const { append = Buffer.alloc(0), prepend = Buffer.alloc(0) } = spec
  return Buffer.concat([prepend, ...pieces, directory, ...end, append])
}

interface Values {
  readonly packed: Buffer
  readonly method: number
  readonly crc: number
  readonly size: number
  readonly packedSize: number
}

function valuesOf(member: ZipMemberSpec): Values {
  const data = Buffer.from(member.data ?? '')
  const method = member.method ?? 8
  const packed = member.packed ?? (method === 8 ? deflateRawSync(data) : data)
  return {
    packed,
    method,
    crc: member.crc ?? crc32(data),
    size: member.size ?? data.length,
    packedSize: member.packedSize ?? packed.length,
  }
}

function localHeader(member: ZipMemberSpec, values: Values): Buffer {
  const name = Buffer.from(member.localName ?? member.name)
  const extra = member.localExtra ?? Buffer.alloc(0)
  const described = member.descriptor !== undefined
  const head = Buffer.alloc(30)
  head.writeUInt32LE(0x04034b50, 0)
  head.writeUInt16LE(20, 4)
  head.writeUInt16LE((member.flags ?? 0) | (described ? 8 : 0), 6)
  head.writeUInt16LE(member.localMethod ?? values.method, 8)
  head.writeUInt32LE(member.localCrc ?? (described ? 0 : values.crc), 14)
  head.writeUInt32LE(described ? 0 : values.packedSize, 18)
  head.writeUInt32LE(member.localSize ?? (described ? 0 : values.size), 22)
  head.writeUInt16LE(name.length, 26)
  head.writeUInt16LE(extra.length, 28)
  return Buffer.concat([head, name, extra])
}

function directoryLine(member: ZipMemberSpec, values: Values, offset: number): Buffer {
  const name = Buffer.from(member.name)
  const extra = member.extra ?? Buffer.alloc(0)
  const head = Buffer.alloc(46)
  head.writeUInt32LE(0x02014b50, 0)
  head.writeUInt16LE(member.mode === undefined ? 20 : (3 << 8) | 30, 4)
  head.writeUInt16LE(20, 6)
  head.writeUInt16LE((member.flags ?? 0) | (member.descriptor === undefined ? 0 : 8), 8)
  head.writeUInt16LE(values.method, 10)
  head.writeUInt32LE(values.crc, 16)
  head.writeUInt32LE(values.packedSize, 20)
  head.writeUInt32LE(values.size, 24)
  head.writeUInt16LE(name.length, 28)
  head.writeUInt16LE(extra.length, 30)
  head.writeUInt32LE(((member.mode ?? 0) << 16) >>> 0, 38)
  head.writeUInt32LE(offset, 42)
  return Buffer.concat([head, name, extra])
}

function descriptor(values: Values): Buffer {
  const bytes = Buffer.alloc(16)
  bytes.writeUInt32LE(0x08074b50, 0)
  bytes.writeUInt32LE(values.crc, 4)
  bytes.writeUInt32LE(values.packedSize, 8)
  bytes.writeUInt32LE(values.size, 12)
  return bytes
}

function endRecords(at: number, length: number, count: number, spec: ZipSpec): Buffer[] {
  const directoryOffset = spec.directoryOffset ?? at
  const directoryBytes = spec.directoryBytes ?? length
  const entryCount = spec.entryCount ?? count
  const comment = spec.comment ?? Buffer.alloc(0)
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(spec.disk ?? 0, 4)
  end.writeUInt16LE(spec.zip64 ? 0xffff : entryCount, 8)
  end.writeUInt16LE(spec.zip64 ? 0xffff : entryCount, 10)
  end.writeUInt32LE(spec.zip64 ? 0xffffffff : directoryBytes, 12)
  end.writeUInt32LE(spec.zip64 ? 0xffffffff : directoryOffset, 16)
  end.writeUInt16LE(comment.length, 20)
  if (!spec.zip64) return [end, comment]
  const record = Buffer.alloc(56)
  record.writeUInt32LE(0x06064b50, 0)
  uint64(44).copy(record, 4)
  uint64(entryCount).copy(record, 24)
  uint64(entryCount).copy(record, 32)
  uint64(directoryBytes).copy(record, 40)
  uint64(directoryOffset).copy(record, 48)
  const locator = Buffer.alloc(20)
  locator.writeUInt32LE(0x07064b50, 0)
  uint64(at + length).copy(locator, 8)
  locator.writeUInt32LE(1, 16)
  return [record, locator, end, comment]
}
