/**
 * Raw tar blocks, so that a test can say exactly what stands in an archive, also what no
 * archiver would write.
 */
export interface TarHeaderSpec {
  readonly name: string | Buffer
  readonly type?: string
  readonly size?: number | Buffer
  readonly mode?: number
  readonly link?: string | Buffer
  readonly magic?: 'posix' | 'gnu' | 'v7'
  readonly prefix?: string
  /** Added to the right checksum. */
  readonly checksumError?: number
}

export interface TarMemberSpec extends TarHeaderSpec {
  readonly data?: string | Buffer
}

export const TAR_END = Buffer.alloc(1024)

export function tarHeader(spec: TarHeaderSpec): Buffer {
  const block = Buffer.alloc(512)
  Buffer.from(spec.name).copy(block, 0, 0, 100)
  block.write(`${(spec.mode ?? 0o644).toString(8).padStart(7, '0')}\0`, 100, 'latin1')
  block.write('0000000\x000000000\0', 108, 'latin1')
  if (Buffer.isBuffer(spec.size)) spec.size.copy(block, 124, 0, 12)
  else block.write(`${(spec.size ?? 0).toString(8).padStart(11, '0')}\0`, 124, 'latin1')
  block.write('00000000000\0', 136, 'latin1')
  block.write(spec.type ?? '0', 156, 'latin1')
  Buffer.from(spec.link ?? '').copy(block, 157, 0, 100)
  if (spec.magic !== 'v7')
    block.write(spec.magic === 'gnu' ? 'ustar  \0' : 'ustar\x0000', 257, 'latin1')
  block.write(spec.prefix ?? '', 345, 'utf8')
  block.fill(0x20, 148, 156)
  const sum = block.reduce((total, byte) => total + byte, spec.checksumError ?? 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return block
}

export function padded(data: string | Buffer): Buffer {
  const bytes = Buffer.from(data)
  return Buffer.concat([bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)])
}

export function tarMember(spec: TarMemberSpec): Buffer {
  const data = Buffer.from(spec.data ?? '')
  return Buffer.concat([tarHeader({ size: data.length, ...spec }), padded(data)])
}

/** An archive of members and raw pieces, with its end mark. */
export function tarArchive(...pieces: readonly (Buffer | TarMemberSpec)[]): Buffer {
  return Buffer.concat([
    ...pieces.map((piece) => (Buffer.isBuffer(piece) ? piece : tarMember(piece))),
    TAR_END,
  ])
}

export function paxRecord(key: string, value: string | Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value), Buffer.from('\n')])
  let length = body.length
  while (String(length).length + body.length !== length)
    length = String(length).length + body.length
  return Buffer.concat([Buffer.from(String(length)), body])
}

/** A pax header of the next member, or (`type: 'g'`) of all that follow. */
export function paxHeader(
  records: Readonly<Record<string, string | Buffer>>,
  type: 'x' | 'g' = 'x',
): Buffer {
  const data = Buffer.concat(Object.entries(records).map(([key, value]) => paxRecord(key, value)))
  return tarMember({ name: 'PaxHeaders/x', type, data })
}

/** GNU's header for a name (L) or a link's target (K) of any length. */
export function gnuLong(type: 'L' | 'K', text: string | Buffer): Buffer {
  const data = Buffer.concat([Buffer.from(text), Buffer.alloc(1)])
  return tarMember({ name: '././@LongLink', type, data, magic: 'gnu' })
}

/** A number as GNU writes it where octal digits do not suffice. */
export function base256(value: number): Buffer {
  const field = Buffer.alloc(12)
  field.writeBigUInt64BE(BigInt(value), 4)
  field[0] = 0x80
  return field
}
