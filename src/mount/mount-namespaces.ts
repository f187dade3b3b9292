import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { CkptdError } from '../model/errors.ts'
import { isErrno } from '../os/errno.ts'
import type { TimeSlice } from './time-slice.ts'

/** Rounds of listing before a host that clones namespaces without pause is given up on. */
const MAX_ROUNDS = 20

export interface MountNamespace {
  /** The processes that live in it. */
  readonly pids: readonly number[]
  /** Its /proc/PID/mountinfo. */
  readonly table: string
}

/**
 * Visits every other mount namespace that has a process, each once. A namespace can be cloned
 * while this goes on and its parent's processes end before their turn: hence the processes are
 * listed again until no namespace is new. One that no process lives in (kept by a descriptor
 * or a bind of its file), and one of a single thread, is not seen.
 */
export async function visitMountNamespaces(
  slice: TimeSlice,
  visit: (namespace: MountNamespace) => void,
): Promise<void> {
  const seen = new Set([readlinkSync('/proc/self/ns/mnt')])
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const found = await listNamespaces(slice, seen)
    if (found.size === 0) return
    for (const [id, pids] of found) {
      const table = readTable(pids)
      if (table === undefined) continue
      seen.add(id)
      visit({ pids, table })
      await slice()
    }
  }
  throw new CkptdError('unavailable', 'new mount namespaces appear faster than they can be read')
}

async function listNamespaces(slice: TimeSlice, seen: Set<string>): Promise<Map<string, number[]>> {
  const found = new Map<string, number[]>()
  for (const pid of processIds()) {
    const id = namespaceOf(pid)
    if (id === undefined || seen.has(id)) continue
    const pids = found.get(id)
    if (pids === undefined) found.set(id, [pid])
    else pids.push(pid)
    const pause = slice()
    if (pause !== undefined) await pause
  }
  return found
}

/**
 * A process that does not let even root see its namespace shows its table all the same, and is
 * taken for one in a namespace of its own.
 */
function namespaceOf(pid: number): string | undefined {
  return unlessGone(() => {
    try {
      return readlinkSync(`/proc/${pid}/ns/mnt`)
    } catch (error) {
      if (isErrno(error, 'EACCES')) return `process ${pid}`
      throw error
    }
  })
}

function readTable(pids: readonly number[]): string | undefined {
  for (const pid of pids) {
    const table = unlessGone(() => readFileSync(`/proc/${pid}/mountinfo`, 'utf8'))
    if (table !== undefined) return table
  }
  return undefined
}

export function processIds(): number[] {
  return readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []))
}

/** What is read of a process; undefined where it ended meanwhile. */
export function unlessGone<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EINVAL'].some((name) => isErrno(error, name))) return undefined
    throw error
  }
}

export function commandOf(pid: number): string {
  return unlessGone(() => readFileSync(`/proc/${pid}/comm`, 'utf8'))?.trim() ?? ''
}
