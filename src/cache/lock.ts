import { closeSync, mkdirSync, openSync } from 'node:fs'
import { CkptdError } from '../model/errors.ts'
import { fileError, isErrno } from '../os/errno.ts'
import { tryLockFile } from '../os/linux.ts'
import type { Layout } from './layout.ts'

/**
 * Takes the lock that every command takes which writes into a data directory, and makes the
 * directory where it is missing. Answers the descriptor that holds it; throws `store_locked`.
 */
export function lockDataDirectory(layout: Layout): number {
  let fd: number
  try {
    mkdirSync(layout.root, { recursive: true, mode: 0o700 })
    fd = openSync(layout.lock, 'a', 0o600)
  } catch (error) {
    throw fileError(error, `opening the data directory ${layout.root}`)
  }
  return lock(layout, fd)
}

/** The same lock, for who must change nothing: undefined where no process ever made it. */
export function lockIfPresent(layout: Layout): number | undefined {
  let fd: number
  try {
    fd = openSync(layout.lock, 'r')
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined
    throw fileError(error, `opening the data directory ${layout.root}`)
  }
  return lock(layout, fd)
}

function lock(layout: Layout, fd: number): number {
  if (tryLockFile(fd)) return fd
  closeSync(fd)
  throw new CkptdError('store_locked', `another process has the data directory ${layout.root} open`)
}
