import { chownSync, closeSync, existsSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { storeLayout } from '../cache/layout.ts'
import { lockIfPresent } from '../cache/lock.ts'
import { CkptdError } from '../model/errors.ts'
import { fileError } from '../os/errno.ts'
import type { User } from './daemon-user.ts'
import { nameFromDatabase } from './id-from-database.ts'

/**
 * Makes the data directory for the daemon's user, or gives an empty one to that user. Any other
 * stays as it is: throws `store_locked` while a process has it open, and `invalid_config` where
 * it belongs to somebody else.
 */
export function claimDataDirectory(path: string, user: User): void {
  try {
    claim(path, user)
  } catch (error) {
    throw fileError(error, `preparing the data directory ${path}`)
  }
}

function claim(path: string, user: User): void {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (stat === undefined) {
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 })
    mkdirSync(path, { mode: 0o700 })
    chownSync(path, user.uid, user.gid)
    return
  }
  if (!stat.isDirectory()) throw new CkptdError('invalid_config', `${path} is no directory`)
  const lockFd = lockIfPresent(storeLayout(path))
  if (lockFd !== undefined) closeSync(lockFd)
  if (stat.uid === user.uid) return
  if (!isEmpty(path)) throw foreign(path, stat.uid, user)
  chownSync(path, user.uid, user.gid)
}

/** The root of a new filesystem counts as empty. */
function isEmpty(path: string): boolean {
  return readdirSync(path).every((name) => name === 'lost+found')
}

function foreign(path: string, ownerUid: number, user: User): CkptdError {
  const owner = describeUser(ownerUid)
  const found = `the data directory ${path} belongs to user ${owner} and the daemon would run as user ${describeUser(user.uid)}; nothing was changed`
  if (!existsSync(storeLayout(path).database))
    return new CkptdError(
      'invalid_config',
      `${found}. It is not empty and holds no store: name another directory`,
    )
  const asOwner = ownerUid === 0 ? '' : `run the daemon as its owner with "--user ${ownerUid}", or `
  return new CkptdError(
    'invalid_config',
    `${found}. To use this store, ${asOwner}give it to the daemon's user while no ckptd has it open: "chown -R ${user.uid}:${user.gid} ${path}"`,
  )
}

function describeUser(uid: number): string {
  const name = nameFromDatabase(uid)
  return name === undefined ? String(uid) : `${name} (${uid})`
}
