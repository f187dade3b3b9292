import { isWithin, type KernelMount, parseKernelTable, withoutDeletedMark } from './kernel-table.ts'

/** What must have vanished from every mount namespace before a release is complete. */
export interface Sought {
  readonly job: string
  /** The mounted directories, as kernel tables show them, that nobody else has a right to. */
  readonly roots: readonly { readonly device: string; readonly root: string }[]
  /** The jobs mount, and the directory on it that holds the mount points. */
  readonly jobsDevice: string
  readonly place: string
  /** The name of the worker's output directory, wherever it lies. */
  readonly outputKey: string | undefined
}

/** The mounts of a kernel table that are copies of what is sought, or binds of a part of it. */
export function findTraces(table: readonly KernelMount[], sought: Sought): KernelMount[] {
  const byId = new Map(table.map((mount) => [mount.id, mount]))
  return table.filter((mount) => {
    const root = withoutDeletedMark(mount.root)
    return (
      sought.roots.some((known) => known.device === mount.device && isWithin(root, known.root)) ||
      (mount.device === sought.jobsDevice && isWithin(root, sought.place)) ||
      isAttachedAt(mount, byId.get(mount.parentId), sought) ||
      (sought.outputKey !== undefined && root.split('/').includes(sought.outputKey))
    )
  })
}

function isAttachedAt(
  mount: KernelMount,
  parent: KernelMount | undefined,
  sought: Sought,
): boolean {
  if (parent?.device !== sought.jobsDevice || !isWithin(mount.mountPoint, parent.mountPoint))
    return false
  const below = mount.mountPoint.slice(parent.mountPoint === '/' ? 0 : parent.mountPoint.length)
  return isWithin(`${parent.root === '/' ? '' : parent.root}${below}`, sought.place)
}

/** The same on a table's text, which is parsed only where it can hold a trace at all. */
export function findTracesInText(text: string, sought: Sought): KernelMount[] {
  const mayHold =
    text.includes(sought.job) ||
    sought.roots.some(({ root }) => text.includes(/[A-Za-z0-9._-]*$/.exec(root)?.[0] ?? ''))
  return mayHold ? findTraces(parseKernelTable(text), sought) : []
}
