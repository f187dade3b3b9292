import { failpoint } from '../os/failpoint.ts'
import { removeCdi } from './cdi.ts'
import { removeMountPoints } from './detach-worker.ts'
import type { MountHost, WorkerRef } from './mount-host.ts'
import type { Answer, Holder } from './protocol.ts'
import type { Unmounter } from './unmounter.ts'
import {
  findWorkerDirectory,
  MARK,
  removeDirectory,
  removeReleaseRecord,
  removeWorkerDirectory,
} from './worker-directory.ts'

/**
 * Unmounts a worker, waits for nobody, and says who is in the way. Complete only when no mount
 * namespace has a copy left: until then the directories stay, a record among them, and asking
 * again goes on from there.
 */
export async function releaseWorker(
  host: MountHost,
  ref: WorkerRef,
  unmount: Unmounter,
): Promise<Answer<'releaseWorker'>> {
  removeCdi(host, ref)
  using worker = findWorkerDirectory(host.jobs.fd, ref)
  if (worker === undefined) return { released: true }
  const holders = await unmount({ ref, workerFd: worker.fd, what: 'all' })
  if (holders.length > 0) return { released: false, holders: [...holders] }
  removeMountPoints(worker.fd)
  removeDirectory(worker.fd, MARK)
  removeReleaseRecord(worker.fd)
  removeWorkerDirectory(host.jobs.fd, ref)
  failpoint('mountd.released')
  return { released: true }
}

/** Unmounts only a worker's output; empty: it is mounted nowhere any more. */
export async function releaseOutput(
  host: MountHost,
  ref: WorkerRef,
  unmount: Unmounter,
): Promise<Holder[]> {
  using worker = findWorkerDirectory(host.jobs.fd, ref)
  return [...(await unmount({ ref, workerFd: worker?.fd, what: 'output' }))]
}
