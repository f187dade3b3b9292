import { isWithin, type KernelMount, withoutDeletedMark } from './kernel-table.ts'
import type { JobsMount, WorkerRef } from './mount-host.ts'
import { VIEW_NAME } from './protocol.ts'
import { findWorkerRef } from './worker-ref.ts'

/** What the kernel's table says is mounted for one worker. */
export interface WorkerMounts {
  readonly ref: WorkerRef
  /** The checkpoint's own mount, then those inside it. */
  readonly checkpoint: KernelMount[]
  readonly output: KernelMount[]
}

const VIEW_AT_END = new RegExp(`/views/(${VIEW_NAME.slice(1, -1)})$`)

/** Groups the mounts that stand on the jobs mount by worker. Pure. */
export function groupByWorker(
  table: readonly KernelMount[],
  jobs: Pick<JobsMount, 'path' | 'mountId'>,
): Map<string, WorkerMounts> {
  const workers = new Map<string, WorkerMounts>()
  const checkpointOwner = new Map<number, WorkerMounts>()
  for (const mount of table) {
    const place = mount.parentId === jobs.mountId ? placeOf(mount, jobs.path) : undefined
    if (place === undefined) continue
    const found = workers.get(place.ref.key) ?? { ref: place.ref, checkpoint: [], output: [] }
    workers.set(place.ref.key, found)
    if (place.name === 'output') found.output.push(mount)
    if (place.name !== 'checkpoint') continue
    found.checkpoint.push(mount)
    checkpointOwner.set(mount.id, found)
  }
  for (const mount of table) checkpointOwner.get(mount.parentId)?.checkpoint.push(mount)
  return workers
}

/** Splits `<jobs>/<job>/<worker>/<name>`. */
function placeOf(
  mount: KernelMount,
  jobsPath: string,
): { ref: WorkerRef; name: string } | undefined {
  if (!isWithin(mount.mountPoint, jobsPath)) return undefined
  const [job, worker, name, ...deeper] = mount.mountPoint.slice(jobsPath.length + 1).split('/')
  const ref = findWorkerRef(`${job}/${worker}`, '/')
  return ref === undefined || name === undefined || deeper.length > 0 ? undefined : { ref, name }
}

/** The views of a worker's checkpoint, by the paths of what is mounted. */
export function viewsOf(
  { checkpoint }: WorkerMounts,
  jobs: Pick<JobsMount, 'device'>,
): { view: string | null; directory: string }[] {
  const [whole, ...parts] = checkpoint
  if (whole === undefined) return []
  if (whole.device !== jobs.device) return [{ view: viewName(whole), directory: '' }]
  return parts.map((part) => ({
    view: viewName(part),
    directory: part.mountPoint.slice(whole.mountPoint.length + 1),
  }))
}

function viewName({ root }: KernelMount): string | null {
  return VIEW_AT_END.exec(withoutDeletedMark(root))?.[1] ?? null
}
