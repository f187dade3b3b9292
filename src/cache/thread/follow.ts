import { createHash, type Hash } from 'node:crypto'
import { close, fdatasync, openSync } from 'node:fs'
import { promisify } from 'node:util'
import type { Sha256 } from '../../model/digest.ts'
import { CkptdError } from '../../model/errors.ts'
import { fileError } from '../../os/errno.ts'
import { failpoint } from '../../os/failpoint.ts'
import { startWriteback } from '../../os/linux.ts'
import { hashRangeSync } from './hash-file.ts'
import { TURN_BYTES, turn } from './turn.ts'

const flushData = promisify(fdatasync)
const closeFd = promisify(close)

interface Follower {
  readonly fd: number
  readonly hash: Hash
  hashedBytes: number
  /**
   * Bytes that were to be written back were not: another flush would answer "done" all the
   * same, so this follower promises nothing any more.
   */
  lost?: CkptdError
}

const followers = new Map<number, Follower>()
let nextId = 1

function get(id: number): Follower {
  const follower = followers.get(id)
  if (follower === undefined) throw new Error(`no follower ${id}`)
  return follower
}

/**
 * Hashes a large file in order while others write it, from the page cache, behind the frontier
 * they report; the disk writes meanwhile what was hashed.
 */
export const followHandlers = {
  /**
   * Begins at the start of a file. Where a prefix was recorded as durable it is read again,
   * which proves it: `false` means that the bytes on disk are not the recorded ones.
   */
  followOpen: async (
    path: string,
    prefix?: { bytes: number; sha256: string },
  ): Promise<{ id: number; intact: boolean }> => {
    const follower: Follower = {
      fd: openSync(path, 'r'),
      hash: createHash('sha256'),
      hashedBytes: 0,
    }
    const id = nextId++
    followers.set(id, follower)
    if (prefix === undefined || prefix.bytes === 0) return { id, intact: true }
    try {
      const reached = await advance(follower, prefix.bytes)
      const intact =
        reached === prefix.bytes && follower.hash.copy().digest('hex') === prefix.sha256
      return { id, intact }
    } catch (error) {
      await followHandlers.followClose(id)
      throw error
    }
  },

  /** The bytes before `frontier` are written: hash them; returns up to where it has. */
  followAdvance: async (id: number, frontier: number): Promise<number> => {
    const follower = get(id)
    const from = follower.hashedBytes
    const reached = await advance(follower, frontier)
    if (reached > from) beginWriteback(follower, from, reached)
    return reached
  },

  /** Makes what is hashed so far durable; the answer may be recorded. */
  followFlush: async (id: number): Promise<{ bytes: number; sha256: Sha256 }> => {
    const follower = get(id)
    if (follower.lost !== undefined) throw follower.lost
    const mark = {
      bytes: follower.hashedBytes,
      sha256: follower.hash.copy().digest('hex') as Sha256,
    }
    try {
      await flushData(follower.fd)
    } catch (error) {
      follower.lost = fileError(error, 'flushing a file to disk')
      throw follower.lost
    }
    failpoint('ingest.progress-flushed')
    return mark
  },

  /** The digest of the whole file, which must end where the hashing ended. */
  followFinish: async (id: number, sizeBytes: number): Promise<Sha256> => {
    const follower = get(id)
    if (follower.lost !== undefined) throw follower.lost
    const reached = await advance(follower, sizeBytes)
    if (reached !== sizeBytes)
      throw new CkptdError('io_error', `a staging file has ${reached} of ${sizeBytes} bytes`)
    return follower.hash.digest('hex') as Sha256
  },

  followClose: async (id: number): Promise<void> => {
    const follower = followers.get(id)
    if (follower === undefined) return
    followers.delete(id)
    await closeFd(follower.fd)
  },
}

function beginWriteback(follower: Follower, from: number, to: number): void {
  try {
    startWriteback(follower.fd, from, to - from)
  } catch (error) {
    follower.lost ??= fileError(error, 'writing a file to disk')
  }
}

async function advance(follower: Follower, to: number): Promise<number> {
  while (follower.hashedBytes < to) {
    const end = Math.min(to, follower.hashedBytes + TURN_BYTES)
    const reached = hashRangeSync(follower.hash, follower.fd, follower.hashedBytes, end)
    follower.hashedBytes = reached
    if (reached < end) break
    await turn()
  }
  return follower.hashedBytes
}
