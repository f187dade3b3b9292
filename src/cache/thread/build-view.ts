import { randomUUID } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fsyncSync,
  futimesSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  openSync,
  renameSync,
  symlinkSync,
  utimesSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Sha256 } from '../../model/digest.ts'
import { CkptdError } from '../../model/errors.ts'
import type { ManifestEntry } from '../../model/manifest-entry.ts'
import { flushDirectorySync } from '../../os/durable.ts'
import { fileError, isErrno } from '../../os/errno.ts'
import { failpoint } from '../../os/failpoint.ts'
import type { Remote } from '../../os/thread.ts'
import { objectFileName } from '../layout.ts'
import { readManifest } from '../read-manifest.ts'
import { copyDurably } from './copy-durably.ts'
import { canFlushFilesystem, flushFilesystemSync } from './flush-files.ts'
import { removeTree } from './remove-tree.ts'
import { CONSTANT_TIME_S } from './seal-files.ts'
import { turn } from './turn.ts'
import { verifyObject } from './verify-objects.ts'

export interface ViewRequest {
  readonly manifest: string
  /** The directory of the domain's objects. */
  readonly objects: string
  /** Where the view is to be; built beside it under a temporary name. */
  readonly path: string
  readonly domain: string
  readonly manifestId: number
}

/** What a thread that builds or verifies views asks of the thread that owns the database. */
// oxlint-disable-next-line typescript/consistent-type-definitions -- an interface has no index signature
export type CopyKeeper = {
  /**
   * The inode of a content that may still take links, and whether its file is yet to be made:
   * then nobody else makes one until `copyMade` was told how that went.
   */
  nextCopy: (
    manifestId: number,
    domain: string,
    sha256: Sha256,
    executable: boolean,
    fullCopy: number,
  ) => Promise<{ copy: number; make: boolean }>
  copyMade: (
    manifestId: number,
    domain: string,
    sha256: Sha256,
    executable: boolean,
    copy: number,
    made: boolean,
  ) => void
  /** The numbers of all inodes of a content. */
  copiesOf: (domain: string, sha256: Sha256, executable: boolean) => number[]
}

/** Views under construction; what a crash leaves of them is removed at start. */
export const BUILDING_PREFIX = '.building-'
/** Entries linked before others get their turn on this thread. */
const TURN_ENTRIES = 500

/**
 * Lays a manifest out as a directory of hard links to its objects: read-only modes, constant
 * times. Whole or absent: built under a temporary name, flushed, renamed, its parent flushed.
 */
export async function buildView(request: ViewRequest, keeper: Remote<CopyKeeper>): Promise<void> {
  await assertSound(request.manifest)
  let begun = newTemporary(request)
  try {
    try {
      await build(begun, request, keeper)
    } catch (error) {
      if (!(error instanceof FilesystemFlushError)) throw error
      // Built anew, and from now on flushed one by one: each failure is then this view's own.
      await removeTree(begun)
      begun = newTemporary(request)
      await build(begun, request, keeper)
    }
    failpoint('view.flushed')
    renameSync(begun, request.path)
    begun = request.path
    flushDirectorySync(dirname(request.path))
    failpoint('view.renamed')
  } catch (error) {
    // What cannot be removed now has no row, and is removed at the next start.
    await removeTree(begun).catch(() => undefined)
    throw fileError(error, 'building a view')
  }
}

/** A flipped bit may leave a line canonical: only the digest tells, which is the file's name. */
async function assertSound(manifest: string): Promise<void> {
  const problem = await verifyObject({ path: manifest, sha256: basename(manifest), mode: 0o444 })
  if (problem !== undefined)
    throw new CkptdError('corrupt', `the manifest of this checkpoint is damaged: ${problem}`)
}

function newTemporary(request: ViewRequest): string {
  return join(dirname(request.path), `${BUILDING_PREFIX}${randomUUID()}`)
}

async function build(
  root: string,
  request: ViewRequest,
  keeper: Remote<CopyKeeper>,
): Promise<void> {
  mkdirSync(root, { mode: 0o755 })
  const directories: string[] = []
  const copies = new Map<string, number>()
  let count = 0
  for await (const entry of readManifest(request.manifest)) {
    const path = join(root, entry.path)
    if (entry.kind === 'directory') {
      mkdirSync(path, { mode: 0o755 })
      directories.push(entry.path)
    } else if (entry.kind === 'symlink') {
      symlinkSync(entry.target, path)
      lutimesSync(path, CONSTANT_TIME_S, CONSTANT_TIME_S)
    } else if (entry.sizeBytes === 0) makeEmptyFile(path, entry.executable)
    else await linkObject(entry, path, request, copies, keeper)
    if (++count % TURN_ENTRIES === 0) await turn()
    if (count === 1) failpoint('view.building')
  }
  finishDirectories(root, directories)
}

async function linkObject(
  entry: ManifestEntry & { kind: 'file' },
  path: string,
  request: ViewRequest,
  copies: Map<string, number>,
  keeper: Remote<CopyKeeper>,
): Promise<void> {
  const { objects, domain, manifestId } = request
  const { sha256, executable } = entry
  const file = (copy: number): string => join(objects, objectFileName({ sha256, executable, copy }))
  const content = objectFileName({ ...entry, copy: 0 })
  const makeCopy = async (copy: number): Promise<void> => {
    let made = false
    try {
      copyDurably({ from: file(0), to: file(copy), sha256, executable, anew: false })
      flushDirectorySync(objects)
      made = true
    } finally {
      await keeper.copyMade(manifestId, domain, sha256, executable, copy, made)
    }
  }
  for (let fresh = false; ; ) {
    const copy = copies.get(content) ?? 0
    try {
      linkSync(file(copy), path)
      return
    } catch (error) {
      if (!isErrno(error, 'EMLINK') || fresh) throw error
      const next = await keeper.nextCopy(manifestId, domain, sha256, executable, copy)
      if (next.make) await makeCopy(next.copy)
      fresh = next.make
      copies.set(content, next.copy)
    }
  }
}

function makeEmptyFile(path: string, executable: boolean): void {
  const fd = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600)
  try {
    fchmodSync(fd, executable ? 0o555 : 0o444)
    futimesSync(fd, CONSTANT_TIME_S, CONSTANT_TIME_S)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** Few directories are flushed one by one; many by one flush of the filesystem. */
const FLUSH_EACH_MAX = 32

function finishDirectories(root: string, directories: readonly string[]): void {
  const all = ['', ...directories]
  const each = all.length <= FLUSH_EACH_MAX || !canFlushFilesystem()
  for (const directory of all.toReversed()) {
    const path = join(root, directory)
    chmodSync(path, 0o555)
    utimesSync(path, CONSTANT_TIME_S, CONSTANT_TIME_S)
    if (each) flushDirectorySync(path)
  }
  const failure = each ? undefined : flushFilesystemSync()
  if (failure !== undefined) throw new FilesystemFlushError(failure.error)
}

/** A flush of the whole filesystem failed: whether for this view cannot be told. */
class FilesystemFlushError extends Error {
  constructor(cause: unknown) {
    super('flushing the filesystem failed', { cause })
  }
}
