import { memberError } from './archive-error.ts'
import type { FileWindow } from './file-window.ts'
import { overlapError, type PlacedEntry } from './zip-directory.ts'
import { number64 } from './zip-end.ts'
import { FLAG_DESCRIPTOR } from './zip-entry.ts'
import { applyZip64, IN_ZIP64 } from './zip-extra.ts'

const SIGNATURE = 0x04034b50
const HEADER_BYTES = 30
const DESCRIPTOR_SIGNATURE = 0x08074b50

/**
 * Where a member's data begins, once its local header agrees with the directory: a reader that
 * goes by the one must see the same members as a reader that goes by the other.
 */
export function locateZipData(archive: string, window: FileWindow, entry: PlacedEntry): number {
  const disagree = (what: string): never => {
    throw memberError(archive, entry.path, `has two headers that disagree about its ${what}`)
  }
  const header = Buffer.from(window.bytes(entry.headerOffset, HEADER_BYTES))
  if (header.length < HEADER_BYTES || header.readUInt32LE(0) !== SIGNATURE)
    throw memberError(archive, entry.path, 'is not where the list of members says')
  const nameBytes = header.readUInt16LE(26)
  const extraBytes = header.readUInt16LE(28)
  const rest = window.bytes(entry.headerOffset + HEADER_BYTES, nameBytes + extraBytes)
  const flags = header.readUInt16LE(6)
  if (!rest.subarray(0, nameBytes).equals(entry.name)) disagree('name')
  if (header.readUInt16LE(8) !== entry.method) disagree('compression')
  if (((flags ^ entry.flags) & (FLAG_DESCRIPTOR | 1)) !== 0) disagree('flags')

  const crc = header.readUInt32LE(14)
  const written = [header.readUInt32LE(22), header.readUInt32LE(18)]
  const described = (flags & FLAG_DESCRIPTOR) !== 0
  const extra = rest.subarray(nameBytes)
  // With a descriptor behind the data, the numbers in front of it may be left out.
  const sizes = applyZip64(written, extra) ?? (described ? [0, 0] : disagree('size'))
  const leftOut = (value: number | undefined): boolean =>
    described && (value === 0 || value === IN_ZIP64)
  if (crc !== entry.crc && !leftOut(crc)) disagree('checksum')
  if (sizes[0] !== entry.sizeBytes && !leftOut(sizes[0])) disagree('size')
  if (sizes[1] !== entry.compressedBytes && !leftOut(sizes[1])) disagree('compressed size')

  const dataOffset = entry.headerOffset + HEADER_BYTES + nameBytes + extraBytes
  const dataEnd = dataOffset + entry.compressedBytes
  if (dataEnd > entry.nextOffset) throw overlapError(archive, entry)
  return dataOffset
}

/** Checks the descriptor behind a member's data: with or without a signature, narrow or wide. */
export function checkZipDescriptor(
  archive: string,
  window: FileWindow,
  entry: PlacedEntry,
  dataOffset: number,
): void {
  if ((entry.flags & FLAG_DESCRIPTOR) === 0) return
  const from = dataOffset + entry.compressedBytes
  const bytes = window.bytes(from, Math.min(24, entry.nextOffset - from))
  const matches = (at: number, wide: boolean): boolean => {
    const width = wide ? 8 : 4
    if (at + 4 + 2 * width > bytes.length) return false
    const read = (offset: number): number =>
      wide ? number64(bytes, offset) : bytes.readUInt32LE(offset)
    return (
      bytes.readUInt32LE(at) === entry.crc &&
      read(at + 4) === entry.compressedBytes &&
      read(at + 4 + width) === entry.sizeBytes
    )
  }
  const signed = bytes.length >= 4 && bytes.readUInt32LE(0) === DESCRIPTOR_SIGNATURE
  if ((signed && (matches(4, false) || matches(4, true))) || matches(0, false) || matches(0, true))
    return
  throw memberError(archive, entry.path, 'has two headers that disagree: the one behind its data')
}
