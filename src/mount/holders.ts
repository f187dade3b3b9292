import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { unlessErrno } from './descriptor.ts'
import { isWithin, type KernelMount } from './kernel-table.ts'
import { commandOf, processIds, unlessGone, visitMountNamespaces } from './mount-namespaces.ts'
import { findTraces, findTracesInText, type Sought } from './mount-traces.ts'
import type { Holder } from './protocol.ts'
import type { TimeSlice } from './time-slice.ts'

/** Named at most: enough for somebody to know where to look. */
const MAX_HOLDERS = 16

/** The processes that stand in, or have open or mapped, something below a path of this namespace. */
async function findUsers(directory: string, slice: TimeSlice): Promise<Holder[]> {
  const holders: Holder[] = []
  for (const pid of processIds()) {
    const path = findUse(pid, directory)
    if (path !== undefined) holders.push({ pid, command: commandOf(pid), path })
    if (holders.length === MAX_HOLDERS) break
    const pause = slice()
    if (pause !== undefined) await pause
  }
  return holders
}

function findUse(pid: number, directory: string): string | undefined {
  for (const path of usedPaths(pid)) if (isWithin(path, directory)) return path
  const maps = unlessHidden(() => readFileSync(`/proc/${pid}/maps`, 'utf8')) ?? ''
  const at = maps.indexOf(` ${directory}/`)
  return at === -1 ? undefined : maps.slice(at + 1).split('\n', 1)[0]
}

function* usedPaths(pid: number): Generator<string> {
  for (const name of ['cwd', 'root', 'exe']) {
    const path = unlessHidden(() => readlinkSync(`/proc/${pid}/${name}`))
    if (path !== undefined) yield path
  }
  for (const fd of unlessHidden(() => readdirSync(`/proc/${pid}/fd`)) ?? []) {
    const path = unlessHidden(() => readlinkSync(`/proc/${pid}/fd/${fd}`))
    if (path !== undefined) yield path
  }
}

/**
 * Who keeps an unmount from succeeding, which names no one: processes; mounts inside; a copy
 * that is busy in a namespace which follows this one. Never empty.
 */
export async function findWhoIsBusy(
  ownTable: readonly KernelMount[],
  jobsPath: string,
  sought: Sought,
  slice: TimeSlice,
): Promise<Holder[]> {
  const path = `${jobsPath}${sought.place}`
  const users = await findUsers(path, slice)
  if (users.length > 0) return users
  const inside = ownTable.filter(({ mountPoint }) => mountPoint.startsWith(`${path}/`))
  const [remaining = []] = await findRemaining(inside, [sought], slice)
  return remaining.length > 0 ? remaining : [{ pid: 0, command: 'mount', path }]
}

/**
 * For each of several, in their order: who still has a mount of it, processes of other mount
 * namespaces and other mounts in the own table. Nobody: it is mounted nowhere any more.
 */
export async function findRemaining(
  ownTable: readonly KernelMount[],
  wanted: readonly Sought[],
  slice: TimeSlice,
): Promise<Holder[][]> {
  const found = wanted.map((sought) => ({ sought, holders: findOwn(ownTable, sought) }))
  if (found.length === 0) return []
  await visitMountNamespaces(slice, ({ pids, table }) => {
    for (const { sought, holders } of found) {
      const [trace] = findTracesInText(table, sought)
      if (trace === undefined) continue
      for (const pid of pids.slice(0, MAX_HOLDERS))
        holders.push({ pid, command: commandOf(pid), path: trace.mountPoint })
    }
  })
  return found.map(({ holders }) => holders.slice(0, MAX_HOLDERS))
}

function findOwn(table: readonly KernelMount[], sought: Sought): Holder[] {
  return findTraces(table, sought).map(({ mountPoint }) => ({
    pid: 0,
    command: 'mount',
    path: mountPoint,
  }))
}

/** A process that ended meanwhile, or hides from root, too, is passed over. */
function unlessHidden<T>(read: () => T): T | undefined {
  return unlessGone(() => unlessErrno('EACCES', read))
}
