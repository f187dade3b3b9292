import { CkptdError } from '../model/errors.ts'
import { idFromDatabase } from './id-from-database.ts'

/** The daemon's user where the host has no user ckptd: in no range that a tool hands out. */
const DEFAULT_UID = 60_900

/** Whom the daemon runs as, by the setting `user`: never root, never the kernel's nobody. */
export function daemonUser(user: string): { uid: number; gid: number } {
  const uid = numericUser(user)
  if (uid === 0 || uid === 65_534)
    throw new CkptdError('invalid_config', `the daemon must not run as user ${uid}`)
  return { uid, gid: uid }
}

function numericUser(user: string): number {
  if (/^\d+$/.test(user)) return Number(user)
  if (user !== '') return idFromDatabase('passwd', user)
  try {
    return idFromDatabase('passwd', 'ckptd')
  } catch {
    return DEFAULT_UID
  }
}
