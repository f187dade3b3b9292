import { createHash } from 'node:crypto'
import { closeSync, constants, fchmodSync, fstatSync, futimesSync, openSync } from 'node:fs'
import type { Sha256 } from '../../model/digest.ts'
import { CkptdError, type ErrorRecord, toErrorRecord } from '../../model/errors.ts'
import { tryUnlinkSync } from '../../os/durable.ts'
import { fileError } from '../../os/errno.ts'
import { failpoint } from '../../os/failpoint.ts'
import { hasExtendedAttributes, startWriteback, tryReadLease } from '../../os/linux.ts'
import { flushFiles } from './flush-files.ts'
import { hashRangeSync } from './hash-file.ts'
import { TURN_BYTES, turn } from './turn.ts'

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
  /** Absolute: somebody's file, which stays theirs. `path` is made from its bytes. */
  readonly copyFrom?: string
  /** By which `onHashed` is told how far it is, where it is large. */
  readonly watch?: number
}

/** Told between two turns how many bytes of a watched file are hashed. */
export type OnHashed = (watch: number, bytes: number) => void

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
 * `ownDirtyBytes`: what of the filesystem's unwritten bytes is on its way into the store.
 */
export async function sealFiles(
  requests: readonly SealRequest[],
  ownDirtyBytes: number,
  onHashed: OnHashed,
): Promise<SealResult[]> {
  const open: { fd: number; index: number; request: SealRequest }[] = []
  const results: SealResult[] = []
  try {
    for (const [index, request] of requests.entries()) {
      try {
        const fd = openRequest(request)
        open.push({ fd, index, request })
        results.push({ ok: true, ...(await sealFile(fd, request, onHashed)) })
      } catch (error) {
        if (request.copyFrom !== undefined) tryUnlinkSync(request.path)
        results.push({
          ok: false,
          error: toErrorRecord(fileError(error, `reading ${request.copyFrom ?? request.path}`)),
        })
      }
    }
    failpoint('ingest.hashed')
    const flushed = await flushFiles(
      open.map(({ fd }) => fd),
      ownDirtyBytes,
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

function openRequest({ copyFrom, path }: SealRequest): number {
  if (copyFrom !== undefined) return openSync(path, 'wx+', 0o600)
  return openForeign(path)
}

/** A name that may have become a link or a FIFO since it was listed. */
function openForeign(path: string): number {
  return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
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

type Sealed = Omit<SealResult & { ok: true }, 'ok'>

async function sealFile(fd: number, request: SealRequest, onHashed: OnHashed): Promise<Sealed> {
  if (request.copyFrom === undefined) return sealFrom(fd, request, onHashed)
  const source = openForeign(request.copyFrom)
  try {
    return await sealFrom(source, request, onHashed, fd)
  } finally {
    closeSync(source)
  }
}

/** Seals a file, or the copy that is made of it where there is a descriptor for one. */
async function sealFrom(
  fd: number,
  request: SealRequest,
  onHashed: OnHashed,
  copyFd?: number,
): Promise<Sealed> {
  const path = request.copyFrom ?? request.path
  const before = fstatSync(fd)
  if (!before.isFile()) throw new CkptdError('io_error', `${path} is no regular file`)
  if (request.foreign && !tryReadLease(fd))
    throw new CkptdError('worker_running', `a process still has ${path} open for writing`)
  const by = request.foreign ? wayIn(fd, before.mtimeMs) : 'inode'
  const sizeBytes = before.size
  if (request.sizeBytes !== undefined && sizeBytes !== request.sizeBytes)
    throw new CkptdError(
      'digest_mismatch',
      `${sizeBytes} bytes arrived where ${request.sizeBytes} were expected`,
    )
  const { watch } = request
  const tell = (bytes: number): void => {
    if (watch !== undefined) onHashed(watch, bytes)
  }
  const sha256 = request.knownSha256 ?? (await hashFile(fd, path, sizeBytes, copyFd, tell))
  if (request.sha256 !== undefined && request.sha256 !== sha256)
    throw new CkptdError(
      'digest_mismatch',
      `the bytes have SHA-256 ${sha256} where ${request.sha256} was expected`,
    )
  if (request.foreign || copyFd !== undefined) {
    const after = fstatSync(fd)
    if (after.size !== before.size || after.mtimeMs !== before.mtimeMs)
      throw new CkptdError('worker_running', `${path} changed while it was read`)
  }
  if (by === 'inode') {
    fchmodSync(copyFd ?? fd, request.executable ? 0o555 : 0o444)
    futimesSync(copyFd ?? fd, CONSTANT_TIME_S, CONSTANT_TIME_S)
  }
  return { sha256, sizeBytes, by }
}

/** The digest of a file, whose bytes go to `copyFd` on the way; large ones give way to others. */
async function hashFile(
  fd: number,
  path: string,
  sizeBytes: number,
  copyFd: number | undefined,
  tell: (bytes: number) => void,
): Promise<Sha256> {
  const hash = createHash('sha256')
  for (let at = 0; at < sizeBytes; ) {
    const end = Math.min(sizeBytes, at + TURN_BYTES)
    const reached = hashRangeSync(hash, fd, at, end, copyFd)
    if (reached < end) throw new CkptdError('io_error', `${path} became shorter while it was read`)
    if (end < sizeBytes) {
      if (copyFd !== undefined) startWriteback(copyFd, at, end - at)
      tell(end)
      await turn()
    }
    at = end
  }
  return hash.digest('hex') as Sha256
}

function wayIn(fd: number, mtimeMs: number): 'inode' | 'copy' | 'rewriting' {
  if (mtimeMs === SUSPECT_TIME_S * 1000) return 'rewriting'
  return hasExtendedAttributes(fd) ? 'copy' : 'inode'
}
