import { CkptdError } from '../model/errors.ts'
import { userFromDatabase } from './id-from-database.ts'

/** The daemon's user where the host has no user ckptd: in no range that a tool hands out. */
const DEFAULT_UID = 60_900

export interface User {
  readonly uid: number
  readonly gid: number
}

/** Whom the daemon runs as, by the setting `user`: never root, never the kernel's nobody. */
export function daemonUser(user: string): User {
  const found = findUser(user)
  if (found.uid === 0 || found.uid === 65_534)
    throw new CkptdError('invalid_config', `the daemon must not run as user ${found.uid}`)
  return found
}

/** A name stands for the user and its own group, a number for both. */
function findUser(user: string): User {
  if (/^\d+$/.test(user)) return { uid: Number(user), gid: Number(user) }
  if (user !== '') return userFromDatabase(user)
  try {
    return userFromDatabase('ckptd')
  } catch {
    return { uid: DEFAULT_UID, gid: DEFAULT_UID }
  }
}
