import { fstatSync } from 'node:fs'
import { isErrno } from '../os/errno.ts'
import { clearProtection } from '../os/linux.ts'
import { findBeneath, NAME_ONLY, READABLE } from './descriptor.ts'

/**
 * Runs an action on an entry; where it answers EPERM, takes "immutable" and "append only" off
 * the entry and its directory and runs it once more. A worker with enough rights can set
 * these, and neither a hand-over nor a removal may stop at it.
 */
export function despiteProtection<T>(
  directoryFd: number,
  name: string | Buffer,
  action: () => T,
): T {
  try {
    return action()
  } catch (error) {
    if (!isErrno(error, 'EPERM')) throw error
    const wasProtected = [clearAt(directoryFd, '.'), clearAt(directoryFd, name)]
    if (!wasProtected.includes(true)) throw error
    return action()
  }
}

/** Only files and directories have such flags; opening anything else could have effects. */
function clearAt(directoryFd: number, name: string | Buffer): boolean {
  using found = findBeneath(directoryFd, name, NAME_ONLY)
  if (found === undefined) return false
  const stat = fstatSync(found.fd)
  if (!stat.isFile() && !stat.isDirectory()) return false
  using entry = findBeneath(directoryFd, name, READABLE)
  if (entry === undefined) return false
  try {
    return clearProtection(entry.fd)
  } catch (error) {
    if (isErrno(error, 'ENOTTY') || isErrno(error, 'EOPNOTSUPP')) return false
    throw error
  }
}
