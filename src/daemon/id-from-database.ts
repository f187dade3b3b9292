import { execFileSync } from 'node:child_process'
import { CkptdError } from '../model/errors.ts'

/** Numeric id of a user or group by name, as the system's name service knows it. */
export function idFromDatabase(database: 'passwd' | 'group', name: string): number {
  try {
    const line = execFileSync('getent', [database, name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    return Number(line.split(':')[2])
  } catch (cause) {
    throw new CkptdError('invalid_config', `there is no ${database === 'group' ? 'group' : 'user'} "${name}"`, { cause })
  }
}
