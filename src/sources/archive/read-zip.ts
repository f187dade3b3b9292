import { MAX_LINK_TARGET_BYTES } from '../../model/limits.ts'
import { memberError } from './archive-error.ts'
import { fileWindow } from './file-window.ts'
import type { ArchiveInput, ArchiveReader, Member } from './member.ts'
import { parseSymlinkTarget } from './member-name.ts'
import { readWholeZipData, readZipData, type ZipData } from './zip-data.ts'
import { iterateZipDirectory, surveyZipDirectory } from './zip-directory.ts'
import { findZipEnd } from './zip-end.ts'
import { checkZipDescriptor, locateZipData } from './zip-local.ts'

/**
 * The members of a zip in the order of its central directory, which is read twice and never
 * held: once to refuse what is wrong before anything is written, once to extract
 * (docs/decisions/0005-zip-reader.md).
 */
export function readZip(input: ArchiveInput): ArchiveReader {
  let passedBytes = 0
  const window = fileWindow(input.fd)

  function* members(): Generator<Member> {
    const end = findZipEnd(input)
    const nextOffset = surveyZipDirectory(input, end)
    for (const entry of iterateZipDirectory(input, end)) {
      const { executable, index, path, sizeBytes } = entry
      const next = nextOffset(entry.headerOffset)
      const dataOffset = locateZipData(input.name, window, entry, next)
      checkZipDescriptor(input.name, window, entry, dataOffset, next)
      const data: ZipData = { input, window, entry, dataOffset }
      if (entry.kind === 'directory') yield { kind: 'directory', index, path }
      else if (entry.kind === 'symlink')
        yield { kind: 'symlink', index, path, target: parseSymlinkTarget(path, linkTarget(data)) }
      else {
        const read = (fromBytes: number) => readZipData(data, fromBytes)
        yield { kind: 'file', index, path, executable, sizeBytes, read }
      }
      passedBytes += entry.compressedBytes
    }
  }
  return {
    members: members(),
    readBytes: () => passedBytes,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}

function linkTarget(data: ZipData): Buffer {
  const { compressedBytes, path, sizeBytes } = data.entry
  if (Math.max(sizeBytes, compressedBytes) > 2 * MAX_LINK_TARGET_BYTES)
    throw memberError(
      data.input.name,
      path,
      `is a link whose target has ${sizeBytes} bytes; ${MAX_LINK_TARGET_BYTES} are allowed`,
    )
  return readWholeZipData(data)
}
