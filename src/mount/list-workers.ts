import { directoryNames } from './attach-checkpoint.ts'
import { type Descriptor, findBeneath, READABLE_DIRECTORY } from './descriptor.ts'
import type { MountHost, WorkerRef } from './mount-host.ts'
import { findOutputs } from './outputs-directory.ts'
import { readOwnTable } from './own-table.ts'
import type { Answer, ListedWorker } from './protocol.ts'
import { findReleaseRecord, findWorkerDirectory, workerState } from './worker-directory.ts'
import { groupByWorker, viewsOf, type WorkerMounts } from './worker-mounts.ts'
import { findWorkerRef } from './worker-ref.ts'

/** What is mounted, by the kernel's own table, and which outputs exist: for adoption. */
export function listWorkers(host: MountHost): Answer<'list'> {
  const mounted = groupByWorker(readOwnTable(), host.jobs)
  return {
    workers: workerDirectories(host.jobs.fd).flatMap(
      (ref) => listWorker(host, ref, mounted.get(ref.key)) ?? [],
    ),
    outputs: listOutputs(host),
  }
}

function listWorker(
  host: MountHost,
  ref: WorkerRef,
  mounts: WorkerMounts | undefined,
): ListedWorker | undefined {
  using directory = findWorkerDirectory(host.jobs.fd, ref)
  const record = directory === undefined ? undefined : findReleaseRecord(directory.fd)
  const { job, worker } = ref
  if (record !== undefined)
    return { job, worker, views: [...record.views], output: record.output, releasing: true }
  if (mounts === undefined || mounts.checkpoint.length + mounts.output.length === 0)
    return undefined
  return {
    job,
    worker,
    views: viewsOf(mounts, host.jobs),
    output: mounts.output.length > 0,
    releasing: directory !== undefined && workerState(directory.fd) !== 'mounted',
  }
}

/** Every worker that has a directory on the jobs mount, whatever its state. */
export function workerDirectories(jobsFd: number): WorkerRef[] {
  return directoryNames(jobsFd).flatMap((job) => {
    using directory: Descriptor | undefined = findBeneath(jobsFd, job, READABLE_DIRECTORY)
    return directory === undefined
      ? []
      : directoryNames(directory.fd).flatMap(
          (worker) => findWorkerRef(`${job}/${worker}`, '/') ?? [],
        )
  })
}

function listOutputs(host: MountHost): { job: string; worker: number }[] {
  using outputs = findOutputs(host)
  if (outputs === undefined) return []
  return directoryNames(outputs.fd).flatMap((name) => {
    const ref = findWorkerRef(name, '.')
    return ref === undefined ? [] : [{ job: ref.job, worker: ref.worker }]
  })
}
