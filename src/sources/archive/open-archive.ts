import { archiveError } from './archive-error.ts'
import type { ArchiveFormat } from './archive-format.ts'
import { DETECT_BYTES, formatMismatch } from './archive-format.ts'
import { byteStream } from './byte-stream.ts'
import { assertMayExpand } from './expansion.ts'
import { fileChunks } from './file-chunks.ts'
import { gunzipChunks } from './gunzip-chunks.ts'
import { type ArchiveInput, type ArchiveReader, FIRST_MEMBER } from './member.ts'
import { readTar } from './read-tar.ts'
import { readZip } from './read-zip.ts'

/** Begins to read an archive; throws `bad_archive` where its bytes are another form. */
export function openArchive(format: ArchiveFormat, input: ArchiveInput): ArchiveReader {
  // Where members are stored already, an earlier run has seen its first bytes.
  if (input.from.offset === 0) assertFormat(format, input)
  return READERS[format](input)
}

function assertFormat(format: ArchiveFormat, { name, file }: ArchiveInput): void {
  const first = Buffer.alloc(DETECT_BYTES)
  const read = file.read(first, 0, first.length)
  const mismatch = formatMismatch(name, format, first.subarray(0, read))
  if (mismatch !== undefined) throw mismatch
}

const READERS: Readonly<Record<ArchiveFormat, (input: ArchiveInput) => ArchiveReader>> = {
  tar: (input) => {
    const { name, file, from, log } = input
    const { sizeBytes } = file
    const chunks = fileChunks(file, from.offset)
    const assertMayReach = (expandedBytes: number): void => {
      if (expandedBytes > sizeBytes)
        throw archiveError(
          name,
          `is truncated: it has ${sizeBytes} bytes and a member ends at ${expandedBytes}`,
        )
    }
    return {
      members: readTar({
        name,
        log,
        stream: byteStream(chunks),
        from,
        seekable: true,
        assertMayReach,
      }),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    }
  },
  'tar.gz': (input) => {
    const { name, file, log } = input
    const chunks = gunzipChunks(input)
    const assertMayReach = (expandedBytes: number): void =>
      assertMayExpand(name, file.sizeBytes, expandedBytes)
    return {
      members: readTar({
        name,
        log,
        stream: byteStream(chunks),
        from: FIRST_MEMBER,
        seekable: false,
        assertMayReach,
      }),
      [Symbol.asyncDispose]: () => chunks[Symbol.asyncDispose](),
    }
  },
  zip: readZip,
}
