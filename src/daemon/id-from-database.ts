import { execFileSync } from 'node:child_process'
import { CkptdError } from '../model/errors.ts'

/** A group's numeric id by its name, as the system's name service knows it. */
export function groupFromDatabase(name: string): number {
  return Number(fieldsOf('group', name)[2])
}

/** A user's numeric id and that of its own group, by its name. */
export function userFromDatabase(name: string): { uid: number; gid: number } {
  const [, , uid, gid] = fieldsOf('passwd', name)
  return { uid: Number(uid), gid: Number(gid) }
}

/** A user's name by its numeric id; undefined where the system knows none. */
export function nameFromDatabase(uid: number): string | undefined {
  try {
    return fieldsOf('passwd', String(uid))[0]
  } catch (error) {
    if (error instanceof CkptdError) return undefined
    throw error
  }
}

function fieldsOf(database: 'passwd' | 'group', name: string): string[] {
  try {
    const line = execFileSync('getent', [database, name], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    return line.trim().split(':')
  } catch (cause) {
    throw new CkptdError(
      'invalid_config',
      `there is no ${database === 'group' ? 'group' : 'user'} "${name}"`,
      { cause },
    )
  }
}
