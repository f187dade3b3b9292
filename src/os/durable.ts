import {
  closeSync,
  fdatasyncSync,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { unlink } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Flushes a directory: the names made, moved and removed in it so far are on disk after it. */
export function flushDirectorySync(path: string): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/**
 * Replaces a small file so that after a power cut it holds either the old bytes or the new:
 * write beside it → flush → rename over it → flush the directory.
 */
export function writeFileDurablySync(path: string, text: string, mode = 0o600): void {
  const temporary = `${path}.tmp`
  try {
    const fd = openSync(temporary, 'w', mode)
    try {
      const bytes = Buffer.from(text)
      for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at)
      fdatasyncSync(fd)
    } finally {
      closeSync(fd)
    }
    renameSync(temporary, path)
  } catch (error) {
    tryUnlinkSync(temporary)
    throw error
  }
  flushDirectorySync(dirname(path))
}

/** Makes a directory below one that is there; one that is there already is fine. */
export function makeDirectorySync(path: string, mode = 0o700): void {
  try {
    mkdirSync(path, { mode })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

/** Removes a name if it is there; the removal is durable only after its directory is flushed. */
export function unlinkIfPresentSync(path: string): void {
  try {
    unlinkSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

/** The same, away from the event loop. */
export async function unlinkIfPresent(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

/**
 * Removes a name after something else failed, which is what is reported: a disk that refuses
 * this too leaves the name to recovery at the next start. Answers whether the name is gone.
 */
export function tryUnlinkSync(path: string): boolean {
  try {
    unlinkIfPresentSync(path)
    return true
  } catch {
    return false
  }
}
