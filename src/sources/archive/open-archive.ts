import { archiveError } from './archive-error.ts'
import type { ArchiveFormat } from './archive-format.ts'
import { DETECT_BYTES, formatMismatch } from './archive-format.ts'
import { byteStream } from './byte-stream.ts'
import { assertMayExpand } from './expansion.ts'
import { fileChunks, readAt } from './file-chunks.ts'
import { gunzipChunks } from './gunzip-chunks.ts'
import type { ArchiveInput, ArchiveReader } from './member.ts'
import { readTar } from './read-tar.ts'
import { readZip } from './read-zip.ts'

/** Begins to read an archive; throws `bad_archive` where its bytes are another form. */
export function openArchive(format: ArchiveFormat, input: ArchiveInput): ArchiveReader {
  const first = Buffer.alloc(Math.min(DETECT_BYTES, input.sizeBytes))
  const read = readAt(input.fd, first, 0, first.length)
  const mismatch = formatMismatch(input.name, format, first.subarray(0, read))
  if (mismatch !== undefined) throw mismatch
  return READERS[format](input)
}

const READERS: Readonly<Record<ArchiveFormat, (input: ArchiveInput) => ArchiveReader>> = {
  tar: (input) => {
    const { name, fd, sizeBytes, log } = input
    const chunks = fileChunks(fd, sizeBytes)
    const assertMayReach = (expandedBytes: number): void => {
      if (expandedBytes > sizeBytes)
        throw archiveError(
          name,
          `is truncated: it has ${sizeBytes} bytes and a member ends at ${expandedBytes}`,
        )
    }
    return {
      members: readTar({ name, log, stream: byteStream(chunks), assertMayReach }),
      readBytes: () => chunks.offset,
      [Symbol.asyncDispose]: () => Promise.resolve(),
    }
  },
  'tar.gz': (input) => {
    const { name, log } = input
    const chunks = gunzipChunks(input)
    const assertMayReach = (expandedBytes: number): void => assertMayExpand(input, expandedBytes)
    return {
      members: readTar({ name, log, stream: byteStream(chunks), assertMayReach }),
      readBytes: () => chunks.compressedBytes,
      [Symbol.asyncDispose]: () => chunks[Symbol.asyncDispose](),
    }
  },
  zip: readZip,
}
