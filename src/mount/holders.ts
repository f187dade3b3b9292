import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { unlessErrno } from './descriptor.ts'
import { isWithin, type KernelMount } from './kernel-table.ts'
import { commandOf, processIds, unlessGone, visitMountNamespaces } from './mount-namespaces.ts'
import { findTraces, findTracesInText, type Sought } from './mount-traces.ts'
import type { Holder } from './protocol.ts'
import type { TimeSlice } from './time-slice.ts'

/** Named at most: enough for somebody to know where to look. */
const MAX_HOLDERS = 16

/** The processes that stand in, or have open or mapped, something in these directories. */
async function findUsers(directories: readonly string[], slice: TimeSlice): Promise<Holder[]> {
  const holders: Holder[] = []
  for (const pid of processIds()) {
    const path = findUse(pid, directories)
    if (path !== undefined) holders.push({ pid, command: commandOf(pid), path })
    if (holders.length === MAX_HOLDERS) break
    const pause = slice()
    if (pause !== undefined) await pause
  }
  return holders
}

function findUse(pid: number, directories: readonly string[]): string | undefined {
  const isInside = (path: string): boolean =>
    directories.some((directory) => isWithin(path, directory))
  for (const path of usedPaths(pid)) if (isInside(path)) return path
  const maps = unlessHidden(() => readFileSync(`/proc/${pid}/maps`, 'utf8')) ?? ''
  for (const directory of directories) {
    const at = maps.indexOf(` ${directory}/`)
    if (at !== -1) return maps.slice(at + 1).split('\n', 1)[0]
  }
  return undefined
}

function* usedPaths(pid: number): Generator<string> {
  for (const name of ['cwd', 'root', 'exe']) {
    const path = readUse(`/proc/${pid}/${name}`)
    if (path !== undefined) yield path
  }
  for (const fd of unlessHidden(() => readdirSync(`/proc/${pid}/fd`)) ?? []) {
    const path = readUse(`/proc/${pid}/fd/${fd}`)
    if (path !== undefined) yield path
  }
}

/**
 * What a link of /proc leads to; undefined where the kernel has no room to tell. Anybody can
 * stand so deep; an unmount that this keeps from succeeding says so by itself.
 */
function readUse(link: string): string | undefined {
  return unlessErrno('ENAMETOOLONG', () => unlessHidden(() => readlinkSync(link)))
}

/** The own mount namespace's table, and which of its mounts are known to leave it. */
export interface OwnMounts {
  readonly table: readonly KernelMount[]
  readonly leaving: ReadonlySet<KernelMount>
}

/**
 * Who keeps an unmount from succeeding, which names no one: processes; mounts inside; a copy
 * that is busy in a namespace which follows this one. Never empty.
 */
export async function findWhoIsBusy(
  own: OwnMounts,
  directories: readonly string[],
  sought: Sought,
  slice: TimeSlice,
): Promise<Holder[]> {
  const users = await findUsers(directories, slice)
  if (users.length > 0) return users
  const inside = own.table.filter(
    (mount) => !own.leaving.has(mount) && directories.some((at) => isWithin(mount.mountPoint, at)),
  )
  if (inside.length > 0) return inside.map(asHolder)
  const [remaining = []] = await findRemaining(own, [sought], slice)
  if (remaining.length > 0) return remaining
  return directories.map((mountPoint) => asHolder({ mountPoint }))
}

/**
 * For each of several, in their order: who still has a mount of it, processes of other mount
 * namespaces and other mounts in the own table. Nobody: it is mounted nowhere any more.
 */
export async function findRemaining(
  { table: ownTable, leaving }: OwnMounts,
  wanted: readonly Sought[],
  slice: TimeSlice,
): Promise<Holder[][]> {
  if (wanted.length === 0) return []
  const own = ownTable.filter((mount) => !leaving.has(mount))
  const found = wanted.map((sought) => ({ sought, holders: findOwn(own, sought) }))
  // A mount's id is its own on the whole host: one seen here is this namespace's, whoever shows it.
  const ownIds = new Set(ownTable.map(({ id }) => id))
  await visitMountNamespaces(slice, ({ pids, table }) => {
    for (const { sought, holders } of found) {
      const trace = findTracesInText(table, sought).find(({ id }) => !ownIds.has(id))
      if (trace === undefined) continue
      for (const pid of pids.slice(0, MAX_HOLDERS))
        holders.push({ pid, command: commandOf(pid), path: trace.mountPoint })
    }
  })
  return found.map(({ holders }) => holders.slice(0, MAX_HOLDERS))
}

function findOwn(table: readonly KernelMount[], sought: Sought): Holder[] {
  return findTraces(table, sought).map(asHolder)
}

function asHolder({ mountPoint }: { mountPoint: string }): Holder {
  return { pid: 0, command: 'mount', path: mountPoint }
}

/** A process that ended meanwhile, or hides from root, too, is passed over. */
function unlessHidden<T>(read: () => T): T | undefined {
  return unlessGone(() => unlessErrno('EACCES', read))
}
