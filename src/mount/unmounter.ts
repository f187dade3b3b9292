import { isErrno } from '../os/errno.ts'
import { failpoint } from '../os/failpoint.ts'
import { detach } from './attach-checkpoint.ts'
import { detachWorker } from './detach-worker.ts'
import { findRemaining, findWhoIsBusy, type OwnMounts } from './holders.ts'
import { type KernelMount, withoutDeletedMark } from './kernel-table.ts'
import type { MountHost, WorkerRef } from './mount-host.ts'
import type { Sought } from './mount-traces.ts'
import { readOwnTable } from './own-table.ts'
import type { Holder } from './protocol.ts'
import { leavingMounts, recordRelease } from './release-record.ts'
import { startTimeSlice, type TimeSlice } from './time-slice.ts'
import { groupByWorker, type WorkerMounts } from './worker-mounts.ts'

export interface UnmountRequest {
  readonly ref: WorkerRef
  /** Its directory, if it has one. */
  readonly workerFd: number | undefined
  readonly what: 'all' | 'output'
}

/** Unmounts; answers who is in the way, or nobody: then it is mounted nowhere any more. */
export type Unmounter = (request: UnmountRequest) => Promise<readonly Holder[]>

interface Waiting extends UnmountRequest {
  readonly resolve: (holders: readonly Holder[]) => void
  readonly reject: (error: unknown) => void
}

/**
 * The kernel's tables are long where there are many mounts, and every other namespace has one:
 * requests that come while one is served share a single pass through them.
 */
export function createUnmounter(host: MountHost): Unmounter {
  let waiting: Waiting[] = []
  let isRunning = false
  const run = async (): Promise<void> => {
    isRunning = true
    while (waiting.length > 0) {
      const batch = waiting
      waiting = []
      try {
        await unmountBatch(host, batch)
      } catch (error) {
        for (const { reject } of batch) reject(error)
      }
    }
    isRunning = false
  }
  return (request) =>
    new Promise((resolve, reject) => {
      waiting.push({ ...request, resolve, reject })
      if (!isRunning) void run()
    })
}

interface Unmounted {
  readonly request: Waiting
  readonly sought: Sought
  readonly isBusy: boolean
}

async function unmountBatch(host: MountHost, batch: readonly Waiting[]): Promise<void> {
  const slice = startTimeSlice(host.signal)
  const table = readOwnTable()
  const workers = groupByWorker(table, host.jobs)
  const taken = rootsOfOthers(workers, batch)
  const unmounted: Unmounted[] = []
  const leaving = new Set<KernelMount>()
  for (const request of batch) {
    const mounts = workers.get(request.ref.key)
    try {
      unmounted.push(unmountOne(host, request, mounts, taken))
    } catch (error) {
      request.reject(error)
    }
    for (const mount of leavingMounts(mounts, request.what)) leaving.add(mount)
    await slice()
  }
  await answerClear({ table, leaving }, unmounted, slice)
  for (const { request, sought, isBusy } of unmounted) {
    if (!isBusy) continue
    const directories = mountPoints(host, request)
    request.resolve(await findWhoIsBusy({ table, leaving }, directories, sought, slice))
  }
}

async function answerClear(
  own: OwnMounts,
  unmounted: readonly Unmounted[],
  slice: TimeSlice,
): Promise<void> {
  const clear = unmounted.filter(({ isBusy }) => !isBusy)
  const remaining = await findRemaining(
    own,
    clear.map(({ sought }) => sought),
    slice,
  )
  for (const [index, { request }] of clear.entries()) request.resolve(remaining[index] ?? [])
}

function unmountOne(
  host: MountHost,
  request: Waiting,
  mounts: WorkerMounts | undefined,
  taken: ReadonlySet<string>,
): Unmounted {
  const { ref, workerFd, what } = request
  const noted = workerFd === undefined ? [] : recordRelease(host, workerFd, mounts, what)
  failpoint('mountd.release-recorded')
  const isBusy = workerFd !== undefined && !tryDetach(workerFd, what)
  failpoint('mountd.view-detached')
  const sought: Sought = {
    job: ref.job,
    roots: what === 'output' ? [] : noted.filter((root) => !taken.has(rootKey(root))),
    jobsDevice: host.jobs.device,
    place: `/${ref.job}/${ref.worker}${what === 'output' ? '/output' : ''}`,
    outputKey: ref.key,
  }
  return { request, sought, isBusy }
}

function mountPoints(host: MountHost, { ref, what }: UnmountRequest): string[] {
  const directory = `${host.jobs.path}/${ref.job}/${ref.worker}`
  const names = what === 'output' ? ['output'] : ['checkpoint', 'output', 'parts']
  return names.map((name) => `${directory}/${name}`)
}

/**
 * A view that another worker has mounted here may be in that worker's container, too: whoever
 * is released last waits for the copies of all.
 */
function rootsOfOthers(
  workers: ReadonlyMap<string, WorkerMounts>,
  batch: readonly UnmountRequest[],
): Set<string> {
  const leaving = new Set(batch.map(({ ref }) => ref.key))
  const others = [...workers.values()].filter(({ ref }) => !leaving.has(ref.key))
  return new Set(others.flatMap(({ checkpoint }) => checkpoint.map(rootKey)))
}

function rootKey({ device, root }: { device: string; root: string }): string {
  return `${device} ${withoutDeletedMark(root)}`
}

function tryDetach(workerFd: number, what: UnmountRequest['what']): boolean {
  try {
    if (what === 'all') detachWorker(workerFd)
    else detach(workerFd, 'output')
    return true
  } catch (error) {
    if (isErrno(error, 'EBUSY')) return false
    throw error
  }
}
