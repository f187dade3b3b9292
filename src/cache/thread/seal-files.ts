import { closeSync, constants, fchmodSync, fstatSync, futimesSync, openSync } from 'node:fs'
import type { Sha256 } from '../../model/digest.ts'
import { CkptdError, type ErrorRecord, toErrorRecord } from '../../model/errors.ts'
import { fileError } from '../../os/errno.ts'
import { failpoint } from '../../os/failpoint.ts'
import { hasExtendedAttributes, tryReadLease } from '../../os/linux.ts'
import { flushFilesSync } from './flush-files.ts'
import { hashFileSync } from './hash-file.ts'

/** 1980-01-01T00:00:00Z: every file of every view has this time; zip-based readers accept it. */
export const CONSTANT_TIME_S = 315_532_800

export interface SealRequest {
  /** Absolute path of a whole file that nobody writes any more. */
  readonly path: string
  readonly executable: boolean
  /** What it must be; a size alone is no proof and is checked beside the digest. */
  readonly sizeBytes?: number
  readonly sha256?: Sha256
  /** The digest, where it was computed while the file was written. */
  readonly knownSha256?: Sha256
  /** A file that a job wrote: make sure that nobody writes it any more, and do not trust its inode. */
  readonly foreign?: boolean
}

export type SealResult =
  | {
      readonly ok: true
      readonly sha256: Sha256
      readonly sizeBytes: number
      /** A foreign inode that must not enter the store: it carries attributes. */
      readonly copyInstead: boolean
    }
  | { readonly ok: false; readonly error: ErrorRecord }

/**
 * Hashes, checks and flushes a batch of files and gives them their final mode and time.
 * After it, a file with `ok` is durable and is what its digest says. A failed flush fails
 * every file of the batch that was not yet durable by itself.
 */
export function sealFiles(requests: readonly SealRequest[]): SealResult[] {
  const open: { fd: number; index: number }[] = []
  const results: SealResult[] = []
  let bytes = 0
  try {
    for (const [index, request] of requests.entries()) {
      try {
        const fd = openSync(request.path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
        open.push({ fd, index })
        const sealed = sealFile(fd, request)
        bytes += sealed.sizeBytes
        results.push({ ok: true, ...sealed })
      } catch (error) {
        results.push({ ok: false, error: toErrorRecord(fileError(error, `reading ${request.path}`)) })
      }
    }
    failpoint('ingest.hashed')
    try {
      flushFilesSync(open.map(({ fd }) => fd), bytes)
    } catch (error) {
      const record = toErrorRecord(fileError(error, 'flushing files to disk'))
      return requests.map(() => ({ ok: false, error: record }))
    }
    failpoint('ingest.flushed')
    return results
  } finally {
    for (const { fd } of open) closeSync(fd)
  }
}

function sealFile(
  fd: number,
  request: SealRequest,
): { sha256: Sha256; sizeBytes: number; copyInstead: boolean } {
  const before = fstatSync(fd)
  if (!before.isFile()) throw new CkptdError('io_error', `${request.path} is no regular file`)
  if (request.foreign && !tryReadLease(fd))
    throw new CkptdError('worker_running', `a process still has ${request.path} open for writing`)
  const copyInstead = request.foreign === true && hasExtendedAttributes(fd)
  const sizeBytes = before.size
  if (request.sizeBytes !== undefined && sizeBytes !== request.sizeBytes)
    throw new CkptdError(
      'digest_mismatch',
      `${sizeBytes} bytes arrived where ${request.sizeBytes} were expected`,
    )
  let sha256 = request.knownSha256
  if (sha256 === undefined) {
    const { sha256: computed, readBytes } = hashFileSync(fd, sizeBytes)
    if (readBytes !== sizeBytes)
      throw new CkptdError('io_error', `${request.path} became shorter while it was read`)
    sha256 = computed as Sha256
  }
  if (request.sha256 !== undefined && request.sha256 !== sha256)
    throw new CkptdError(
      'digest_mismatch',
      `the bytes have SHA-256 ${sha256} where ${request.sha256} was expected`,
    )
  if (request.foreign) {
    const after = fstatSync(fd)
    if (after.size !== before.size || after.mtimeMs !== before.mtimeMs)
      throw new CkptdError('worker_running', `${request.path} changed while it was read`)
  }
  if (!copyInstead) {
    fchmodSync(fd, request.executable ? 0o555 : 0o444)
    futimesSync(fd, CONSTANT_TIME_S, CONSTANT_TIME_S)
  }
  return { sha256, sizeBytes, copyInstead }
}
