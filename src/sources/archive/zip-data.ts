import { crc32, createInflateRaw, inflateRawSync } from 'node:zlib'
import { CkptdError } from '../../model/errors.ts'
import { memberError } from './archive-error.ts'
import { CHUNK_BYTES } from './file-chunks.ts'
import type { FileWindow } from './file-window.ts'
import { inflateRange } from './inflate-range.ts'
import type { ArchiveInput, Prefix } from './member.ts'
import type { PlacedEntry } from './zip-directory.ts'
import { STORED, type ZipEntry } from './zip-entry.ts'
import { checkZipDescriptor } from './zip-local.ts'

/** Up to this size a member is read and inflated whole, in this thread, with two calls. */
const WHOLE_BYTES = CHUNK_BYTES

/** A member's data where it lies in the archive. */
export interface ZipData {
  readonly input: ArchiveInput
  readonly window: FileWindow
  readonly entry: PlacedEntry
  readonly dataOffset: number
}

/**
 * A member's bytes from an offset on. Its size and checksum are verified over all of them, and
 * that its compressed data ends where it should: the last piece is followed by an error or is
 * the last of exactly the right bytes. What is compressed is read from its beginning.
 */
export function readZipData(
  data: ZipData,
  fromBytes: number,
  prefix: Prefix,
): Iterable<Buffer> | AsyncIterable<Buffer> {
  const { sizeBytes, compressedBytes, method } = data.entry
  if (Math.max(sizeBytes, compressedBytes) <= WHOLE_BYTES)
    return [readWholeZipData(data).subarray(fromBytes)]
  if (method === STORED) return verified(data, fromBytes, storedPieces(data, fromBytes, prefix))
  return verified(data, fromBytes, inflatedPieces(data))
}

/** All bytes of a small member, verified. */
export function readWholeZipData(data: ZipData): Buffer {
  const { input, window, entry, dataOffset } = data
  const packed = window.bytes(dataOffset, entry.compressedBytes)
  // Some archivers call an empty file deflated and store nothing for it.
  const asItIs = entry.method === STORED || entry.compressedBytes === 0
  const bytes = asItIs ? packed : inflateWhole(input.name, entry, packed)
  if (bytes.length !== entry.sizeBytes) throw sizeError(input.name, entry)
  if (crc32(bytes) !== entry.crc) throw crcError(input.name, entry)
  // The window's bytes may be those of the descriptor next.
  const own = asItIs ? Buffer.from(bytes) : bytes
  checkZipDescriptor(input.name, window, entry, dataOffset)
  return own
}

function inflateWhole(archive: string, entry: ZipEntry, packed: Buffer): Buffer {
  // Typed as the buffer alone; with `info` it is an object of it and the engine.
  const result = guarded(archive, entry, () =>
    inflateRawSync(packed, {
      info: true,
      chunkSize: Math.max(64, entry.sizeBytes + 1),
      maxOutputLength: Math.max(1, entry.sizeBytes),
    }),
  ) as unknown as { buffer: Buffer; engine: { bytesWritten: number } }
  if (result.engine.bytesWritten !== entry.compressedBytes) throw endError(archive, entry)
  return result.buffer
}

async function* verified(
  { input, window, entry, dataOffset }: ZipData,
  fromBytes: number,
  pieces: AsyncIterable<Buffer> | Iterable<Buffer>,
): AsyncGenerator<Buffer> {
  let at = 0
  let crc = 0
  for await (const piece of pieces) {
    const pieceAt = at
    at += piece.length
    if (at > entry.sizeBytes) throw sizeError(input.name, entry)
    crc = crc32(piece, crc)
    if (at > fromBytes) yield piece.subarray(Math.max(0, fromBytes - pieceAt))
  }
  if (at !== entry.sizeBytes) throw sizeError(input.name, entry)
  if (crc !== entry.crc) throw crcError(input.name, entry)
  checkZipDescriptor(input.name, window, entry, dataOffset)
}

function* storedPieces(
  { input, entry, dataOffset }: ZipData,
  fromBytes: number,
  prefix: Prefix,
): Generator<Buffer> {
  if (fromBytes > 0) yield* prefix()
  const buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES)
  for (let at = fromBytes; at < entry.compressedBytes; ) {
    const count = Math.min(CHUNK_BYTES, entry.compressedBytes - at)
    input.file.pass(dataOffset + at)
    const read = input.file.read(buffer, dataOffset + at, count)
    if (read === 0) return
    at += read
    yield buffer.subarray(0, read)
  }
}

async function* inflatedPieces({ input, entry, dataOffset }: ZipData): AsyncGenerator<Buffer> {
  if (entry.compressedBytes === 0) throw endError(input.name, entry)
  const inflate = createInflateRaw({ chunkSize: CHUNK_BYTES })
  const pieces = inflateRange(inflate, input.file, dataOffset, dataOffset + entry.compressedBytes)
  try {
    for (let next = await pieces.next(); next.done !== true; next = await pieces.next())
      yield next.value
    if (inflate.bytesWritten !== entry.compressedBytes) throw endError(input.name, entry)
  } catch (error) {
    throw dataError(input.name, entry, error)
  } finally {
    inflate.destroy()
  }
}

function guarded<T>(archive: string, entry: ZipEntry, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw dataError(archive, entry, error)
  }
}

function dataError(archive: string, entry: ZipEntry, error: unknown): CkptdError {
  if (error instanceof CkptdError) return error
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'ERR_BUFFER_TOO_LARGE') return sizeError(archive, entry)
  const why = `is damaged: its compressed data cannot be read (${message})`
  return memberError(archive, entry.path, why, error)
}

function sizeError(archive: string, entry: ZipEntry): CkptdError {
  return memberError(
    archive,
    entry.path,
    `is damaged: its data has not the ${entry.sizeBytes} bytes that were announced`,
  )
}

function crcError(archive: string, entry: ZipEntry): CkptdError {
  return memberError(archive, entry.path, 'is damaged: its checksum (CRC-32) is wrong')
}

function endError(archive: string, entry: ZipEntry): CkptdError {
  return memberError(
    archive,
    entry.path,
    'is damaged: its compressed data ends elsewhere than was announced',
  )
}
