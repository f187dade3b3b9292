import { unlinkat } from '../os/linux.ts'
import { unlessErrno } from './descriptor.ts'
import { detachWorker, removeMountPoints } from './detach-worker.ts'
import type { MountHost, WorkerRef } from './mount-host.ts'
import { findOutputs } from './outputs-directory.ts'
import { MARK, removeDirectory, removeWorkerDirectory } from './worker-directory.ts'
import { describeWorker } from './worker-ref.ts'

/**
 * Takes back a mount that nobody was told of. What cannot be taken back now (false) keeps its
 * mark, so that the next start or the next request for the worker tries again.
 */
export function undoWorker(host: MountHost, ref: WorkerRef, workerFd: number): boolean {
  try {
    detachWorker(workerFd)
    removeMountPoints(workerFd)
    removeEmptyOutput(host, ref)
    removeDirectory(workerFd, MARK)
    removeWorkerDirectory(host.jobs.fd, ref)
    return true
  } catch (error) {
    host.log.error({ err: error, job: ref.job, worker: ref.worker }, 'a mount cannot be undone')
    return false
  }
}

/** An output that was just made holds nothing; one from before a reboot stays. */
function removeEmptyOutput(host: MountHost, ref: WorkerRef): void {
  try {
    using outputs = findOutputs(host)
    if (outputs === undefined) return
    unlessErrno('ENOENT', () =>
      unlessErrno('ENOTEMPTY', () => unlinkat(outputs.fd, ref.key, { directory: true })),
    )
  } catch (error) {
    host.log.warn({ err: error }, `the empty output of ${describeWorker(ref)} is left behind`)
  }
}
