/** The size of a tar archive's headers, and the unit in which its members' data is padded. */
export const TAR_BLOCK_BYTES = 512

/** What of a header block matters here; names as the bytes they are, views of the block. */
export interface TarHeader {
  /** One character; "\0" is the regular file of the oldest format. */
  readonly type: string
  readonly name: Buffer
  readonly linkName: Buffer
  readonly mode: number | undefined
  /** Undefined where the field holds no number. */
  readonly sizeBytes: number | undefined
}

const ZERO_BLOCK = Buffer.alloc(TAR_BLOCK_BYTES)

export function isZeroBlock(block: Buffer): boolean {
  return block.equals(ZERO_BLOCK)
}

/** Reads a header block of any tar format; undefined where its checksum is not right. */
export function decodeTarHeader(block: Buffer): TarHeader | undefined {
  if (!hasValidChecksum(block)) return undefined
  const magic = block.toString('latin1', 257, 265)
  // GNU's own format ("ustar  \0") keeps other things where POSIX has the name's first part.
  const prefix = magic.startsWith('ustar\0')
    ? text(block, 345, isStar(block) ? 131 : 155)
    : undefined
  const name = text(block, 0, 100)
  return {
    type: String.fromCharCode(block[156] ?? 0),
    name: prefix?.length ? Buffer.concat([prefix, Buffer.from('/'), name]) : name,
    linkName: text(block, 157, 100),
    mode: decodeNumber(block.subarray(100, 108)),
    sizeBytes: decodeNumber(block.subarray(124, 136)),
  }
}

/** Schilling's star shortens the prefix to make room for two times, and ends in its own magic. */
function isStar(block: Buffer): boolean {
  return block.toString('latin1', 508, 512) === 'tar\0'
}

function text(block: Buffer, from: number, length: number): Buffer {
  const field = block.subarray(from, from + length)
  const end = field.indexOf(0)
  return end === -1 ? field : field.subarray(0, end)
}

/** Of all bytes, the checksum's own counted as spaces; old archivers added signed bytes. */
function hasValidChecksum(block: Buffer): boolean {
  if (block.length !== TAR_BLOCK_BYTES) return false
  const expected = decodeNumber(block.subarray(148, 156))
  let unsigned = 8 * 0x20
  let signed = unsigned
  for (let i = 0; i < TAR_BLOCK_BYTES; i++) {
    if (i === 148) i = 156
    const byte = block[i] ?? 0
    unsigned += byte
    signed += byte < 0x80 ? byte : byte - 0x100
  }
  return expected === unsigned || expected === signed
}

/** An octal number in ASCII, or with the top bit set a big-endian one; empty is 0. */
export function decodeNumber(field: Buffer): number | undefined {
  const first = field[0] ?? 0
  if ((first & 0x80) === 0) return decodeOctal(field)
  // 0xff… is a negative number; no field read here can be one.
  if (first !== 0x80) return undefined
  let value = 0
  for (const byte of field.subarray(1)) value = value * 256 + byte
  return Number.isSafeInteger(value) ? value : undefined
}

/** Spaces, digits, and then nothing but spaces up to a NUL or the end. */
function decodeOctal(field: Buffer): number | undefined {
  let at = 0
  while (field[at] === 0x20) at += 1
  let value = 0
  for (let byte = field[at] ?? 0; byte >= 0x30 && byte <= 0x37; byte = field[at] ?? 0) {
    value = value * 8 + byte - 0x30
    at += 1
  }
  while (field[at] === 0x20) at += 1
  return at >= field.length || field[at] === 0 ? value : undefined
}
