import { chmod, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Database } from '../database/database.ts'
import type { PartialRow } from '../database/ingests.ts'
import type { Sha256 } from '../model/digest.ts'
import { CkptdError } from '../model/errors.ts'
import type { CheckpointId } from '../model/ids.ts'
import { unlinkIfPresent } from '../os/durable.ts'
import { fileError, isErrno } from '../os/errno.ts'
import type { StoreThreads } from './store-threads.ts'

/**
 * A large file that arrives piece by piece: whoever moves the bytes writes them into `path` at
 * any offset from `durableBytes` on and reports how far they reach without a gap; they are
 * hashed in order and made durable behind that frontier.
 */
export interface IngestFile extends AsyncDisposable {
  /** The staging file; it exists, and holds `durableBytes` proven bytes. */
  readonly path: string
  /** From here on bytes are to be written. */
  readonly durableBytes: number
  /** How far the bytes were hashed: what lies further ahead should not grow without bound. */
  readonly hashedBytes: number
  /**
   * All bytes before `frontierBytes` are written. Resolves when they are hashed. Once a flush
   * failed, the file can never become durable, only another beginning from `durableBytes` can:
   * this rejects at once, unless it was for want of space, which the writer waits out; `flush`
   * and `finish` always reject then.
   */
  advance(frontierBytes: number): Promise<void>
  /** Makes what was hashed durable and records it; returns that offset. */
  flush(): Promise<number>
  /** The same for a whole file, from then on recorded as another version of its key. */
  flushAs(version: string): Promise<number>
  /** The file is whole: its digest. The staging file stays until it becomes an object. */
  finish(sizeBytes: number): Promise<Sha256>
  /** Forgets the partial file; its bytes are gone. */
  discard(): Promise<void>
}

/** Recorded as durable after so many bytes, which a crash at worst fetches again. */
const FLUSH_INTERVAL_BYTES = 64 * 1024 * 1024

export async function openIngestFile(
  context: {
    database: Database
    threads: StoreThreads
    directory: string
    checkpointId: CheckpointId
  },
  key: string,
  version: string,
  newName: () => string,
): Promise<IngestFile> {
  const { database, threads, directory, checkpointId } = context
  const recorded = database.ingests.findPartial(checkpointId, key)
  const usable =
    recorded?.version === version &&
    (await isIntact(join(directory, recorded.staging_name), recorded))
      ? recorded
      : undefined
  if (recorded !== undefined && usable === undefined) {
    database.ingests.removePartial(checkpointId, key)
    await unlinkIfPresent(join(directory, recorded.staging_name))
  }
  const name = usable?.staging_name ?? newName()
  const path = join(directory, name)
  try {
    if (usable === undefined) await writeFile(path, '')
    else await chmod(path, 0o600)
  } catch (error) {
    throw fileError(error, `opening the staging file of ${key}`)
  }
  const prefix =
    usable === undefined ? undefined : { bytes: usable.durable_bytes, sha256: usable.prefix_sha256 }

  const { remote, release } = threads.acquire()
  let follower: { id: number; intact: boolean }
  try {
    follower = await remote.followOpen(path, prefix)
    if (!follower.intact) {
      // What was recorded is not what the disk holds: nothing of it may be built upon.
      await remote.followClose(follower.id)
      await truncate(path, 0)
      follower = await remote.followOpen(path)
      database.ingests.removePartial(checkpointId, key)
    } else if (prefix !== undefined) await truncate(path, prefix.bytes)
  } catch (error) {
    release()
    throw fileError(error, `opening the staging file of ${key}`)
  }
  const durableBytes = follower.intact ? (prefix?.bytes ?? 0) : 0
  let hashedBytes = durableBytes
  let flushedBytes = durableBytes
  let frontier = durableBytes
  let advancing: Promise<void> | undefined
  let flushing: Promise<number> | undefined
  let open = true

  /** Why the bytes after the recorded ones are lost. */
  let lost: CkptdError | undefined

  const hashToFrontier = async (): Promise<void> => {
    while (hashedBytes < frontier) {
      const reached = await remote.followAdvance(follower.id, frontier)
      if (reached <= hashedBytes)
        throw new CkptdError('io_error', `the staging file of ${key} is shorter than was written`)
      hashedBytes = reached
    }
  }
  let recordedVersion = version
  const flush = async (): Promise<number> => {
    const mark = await remote.followFlush(follower.id).catch((error: unknown) => {
      lost ??= fileError(error, `flushing the staging file of ${key}`)
      throw lost
    })
    // Recorded only now: an offset that may be resumed from is durable before it is known.
    database.ingests.putPartial(checkpointId, {
      key,
      version: recordedVersion,
      staging_name: name,
      durable_bytes: mark.bytes,
      prefix_sha256: mark.sha256,
    })
    await database.flush()
    flushedBytes = Math.max(flushedBytes, mark.bytes)
    return mark.bytes
  }
  const flushShared = (): Promise<number> => {
    flushing ??= flush().finally(() => {
      flushing = undefined
    })
    return flushing
  }
  const close = async (): Promise<void> => {
    if (!open) return
    open = false
    await advancing?.catch(() => undefined)
    await flushing?.catch(() => undefined)
    await remote.followClose(follower.id)
    release()
  }
  return {
    path,
    durableBytes,
    get hashedBytes() {
      return hashedBytes
    },
    advance: async (frontierBytes) => {
      frontier = Math.max(frontier, frontierBytes)
      advancing ??= hashToFrontier().finally(() => {
        advancing = undefined
      })
      await advancing
      if (lost !== undefined && !isShortage(lost)) throw lost
      const due = hashedBytes - flushedBytes >= FLUSH_INTERVAL_BYTES
      // Its failure is kept, and thrown by whatever is asked next.
      if (due && flushing === undefined && lost === undefined)
        void flushShared().catch((error: unknown) => {
          lost ??= fileError(error, `flushing the staging file of ${key}`)
        })
    },
    flush: async () => {
      await advancing
      return flushShared()
    },
    flushAs: async (next) => {
      await advancing
      await flushing
      recordedVersion = next
      return flushShared()
    },
    finish: async (sizeBytes) => {
      await advancing
      await flushing?.catch(() => undefined)
      if (lost !== undefined) throw lost
      return remote.followFinish(follower.id, sizeBytes)
    },
    discard: async () => {
      await close()
      database.ingests.removePartial(checkpointId, key)
      await unlinkIfPresent(path)
    },
    [Symbol.asyncDispose]: close,
  }
}

/** Passing states, which whoever fetches waits out instead of giving up. */
function isShortage(error: CkptdError): boolean {
  return error.code === 'no_space' || error.code === 'no_quota'
}

/** Whether a partial file is there, long enough, and no object: that must never be written. */
async function isIntact(path: string, recorded: PartialRow): Promise<boolean> {
  try {
    const { nlink, size } = await stat(path)
    return nlink === 1 && size >= recorded.durable_bytes
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false
    throw error
  }
}
