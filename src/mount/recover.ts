import { removeStaleCdi } from './cdi.ts'
import { workerDirectories } from './list-workers.ts'
import type { MountHost } from './mount-host.ts'
import { undoWorker } from './undo-worker.ts'
import { findWorkerDirectory, workerState } from './worker-directory.ts'

/**
 * Run once at start: what a former helper left half done is undone, whole mounts are not
 * touched. Releases that have begun wait to be asked for again.
 */
export function recoverWorkers(host: MountHost): void {
  const mounted = new Set<string>()
  for (const ref of workerDirectories(host.jobs.fd)) {
    using directory = findWorkerDirectory(host.jobs.fd, ref)
    if (directory === undefined) continue
    const state = workerState(directory.fd)
    if (state === 'mounted') mounted.add(ref.key)
    if (state === 'mounting' || state === 'empty') undoWorker(host, ref, directory.fd)
  }
  host.log.info({ workers: mounted.size }, 'mounted workers adopted')
  removeStaleCdi(host, mounted)
}
