import { CkptdError } from '../model/errors.ts'
import { MAX_MANIFEST_LINE_BYTES } from '../model/limits.ts'
import { MANIFEST_HEADER, type ManifestEntry, parseManifestEntry } from '../model/manifest-entry.ts'
import { fileError, isErrno } from '../os/errno.ts'
import { readLines } from '../os/read-lines.ts'

/**
 * Reads a manifest as a stream; throws `corrupt` where it is missing and at the first line that
 * is not canonical.
 */
export async function* readManifest(path: string): AsyncGenerator<ManifestEntry> {
  const lines = readLines(path, MAX_MANIFEST_LINE_BYTES)
  const header = await lines.next().catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) throw new CkptdError('corrupt', `${path} is missing`)
    throw fileError(error, `reading ${path}`)
  })
  if (header.done || header.value !== MANIFEST_HEADER)
    throw new CkptdError('corrupt', `${path} is no manifest that this version can read`)
  for await (const line of lines) yield parseManifestEntry(line)
}
