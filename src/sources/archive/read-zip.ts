import { MAX_LINK_TARGET_BYTES } from '../../model/limits.ts'
import { memberError } from './archive-error.ts'
import { fileWindow } from './file-window.ts'
import type { ArchiveInput, ArchiveReader, Member } from './member.ts'
import { parseSymlinkTarget } from './member-name.ts'
import { readWholeZipData, readZipData, type ZipData } from './zip-data.ts'
import { surveyZipDirectory } from './zip-directory.ts'
import { findZipEnd } from './zip-end.ts'
import { locateZipData } from './zip-local.ts'

/**
 * The members of a zip as they lie in the file. Its central directory is never held: it is read
 * to refuse what is wrong before anything is written, and again while members are extracted
 * (docs/decisions/0005-zip-reader.md).
 */
export function readZip(input: ArchiveInput): ArchiveReader {
  const { file, name } = input
  const window = fileWindow(file)

  function* members(): Generator<Member> {
    const end = findZipEnd(input)
    for (const entry of surveyZipDirectory(input, end)) {
      const { executable, headerOffset, index, kind, path, sizeBytes } = entry
      file.pass(headerOffset)
      // The list of members tells where each is: whoever knows which are stored passes over them.
      const member = { index, offset: undefined, path }
      const locate = (): ZipData => {
        const dataOffset = locateZipData(name, window, entry)
        return { input, window, entry, dataOffset }
      }
      if (kind === 'file')
        yield {
          kind,
          ...member,
          executable,
          sizeBytes,
          read: (...from) => readZipData(locate(), ...from),
        }
      else {
        const data = readSmall(locate())
        if (kind === 'directory') yield { kind, ...member }
        else yield { kind, ...member, target: parseSymlinkTarget(path, data) }
      }
    }
    file.pass(file.sizeBytes)
  }
  return {
    members: members(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}

/** What a link or a directory has of data. */
function readSmall(data: ZipData): Buffer {
  const { compressedBytes, path, sizeBytes } = data.entry
  if (Math.max(sizeBytes, compressedBytes) > 2 * MAX_LINK_TARGET_BYTES)
    throw memberError(
      data.input.name,
      path,
      `is a link whose target has ${sizeBytes} bytes; ${MAX_LINK_TARGET_BYTES} are allowed`,
    )
  return readWholeZipData(data)
}
