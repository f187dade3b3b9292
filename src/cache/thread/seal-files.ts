import { closeSync, constants, fchmodSync, fstatSync, futimesSync, openSync } from 'node:fs'
import type { Sha256 } from '../../model/digest.ts'
import { CkptdError, type ErrorRecord, toErrorRecord } from '../../model/errors.ts'
import { tryUnlinkSync } from '../../os/durable.ts'
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
      /**
       * How its bytes enter the store: this very inode; a copy, since a foreign inode carries
       * attributes; or written anew, since a flush failed and this inode's pages may be lost.
       */
      readonly by: 'inode' | 'copy' | 'rewriting'
    }
  | { readonly ok: false; readonly error: ErrorRecord }

/**
 * Hashes, checks and flushes a batch of files and gives them their final mode and time.
 * After it, a file with `ok` is what its digest says, and durable unless it is to be rewritten.
 * A file whose flush failed is spoiled, so that nobody can flush it again and be told "done".
 */
export function sealFiles(requests: readonly SealRequest[]): SealResult[] {
  const open: { fd: number; index: number; request: SealRequest }[] = []
  const results: SealResult[] = []
  let bytes = 0
  try {
    for (const [index, request] of requests.entries()) {
      try {
        const fd = openSync(
          request.path,
          constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
        )
        open.push({ fd, index, request })
        const sealed = sealFile(fd, request)
        bytes += sealed.sizeBytes
        results.push({ ok: true, ...sealed })
      } catch (error) {
        results.push({
          ok: false,
          error: toErrorRecord(fileError(error, `reading ${request.path}`)),
        })
      }
    }
    failpoint('ingest.hashed')
    const flushed = flushFilesSync(
      open.map(({ fd }) => fd),
      bytes,
    )
    for (const [at, { fd, index, request }] of open.entries()) {
      const outcome = flushed[at]
      const result = results[index]
      if (outcome === undefined || outcome.kind === 'durable' || !result?.ok) continue
      spoil(fd, request, outcome.kind)
      results[index] =
        outcome.kind === 'unproven'
          ? { ...result, by: 'rewriting' }
          : { ok: false, error: toErrorRecord(fileError(outcome.error, 'flushing a file to disk')) }
    }
    failpoint('ingest.flushed')
    return results
  } finally {
    for (const { fd } of open) closeSync(fd)
  }
}

/**
 * Marks a file whose flush failed. A staging file goes, and its bytes are fetched again; a
 * worker's file cannot be had again, so it gets a time that says to copy it the next time. The
 * mark lives as long as what it warns of: in the kernel's memory, beside the lost pages.
 */
function spoil(fd: number, request: SealRequest, kind: 'lost' | 'unproven'): void {
  if (request.foreign) tryMarkSuspect(fd)
  else if (kind === 'lost') tryUnlinkSync(request.path)
}

/** A second after the time that a sealed file has: no file has it otherwise. */
const SUSPECT_TIME_S = CONSTANT_TIME_S + 1

function tryMarkSuspect(fd: number): boolean {
  try {
    futimesSync(fd, SUSPECT_TIME_S, SUSPECT_TIME_S)
    return true
  } catch {
    return false
  }
}

function sealFile(fd: number, request: SealRequest): Omit<SealResult & { ok: true }, 'ok'> {
  const before = fstatSync(fd)
  if (!before.isFile()) throw new CkptdError('io_error', `${request.path} is no regular file`)
  if (request.foreign && !tryReadLease(fd))
    throw new CkptdError('worker_running', `a process still has ${request.path} open for writing`)
  const by = request.foreign ? wayIn(fd, before.mtimeMs) : 'inode'
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
  if (by === 'inode') {
    fchmodSync(fd, request.executable ? 0o555 : 0o444)
    futimesSync(fd, CONSTANT_TIME_S, CONSTANT_TIME_S)
  }
  return { sha256, sizeBytes, by }
}

function wayIn(fd: number, mtimeMs: number): 'inode' | 'copy' | 'rewriting' {
  if (mtimeMs === SUSPECT_TIME_S * 1000) return 'rewriting'
  return hasExtendedAttributes(fd) ? 'copy' : 'inode'
}
