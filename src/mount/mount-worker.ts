import { CkptdError } from '../model/errors.ts'
import { failpoint } from '../os/failpoint.ts'
import { mkdirat, moveMount } from '../os/linux.ts'
import { attachCheckpoint } from './attach-checkpoint.ts'
import { assertComponent } from './component.ts'
import { openDataDirectory } from './data-directory.ts'
import { DIRECTORY, openBeneath } from './descriptor.ts'
import { cloneWritable } from './detached-mount.ts'
import type { MountHost, WorkerRef } from './mount-host.ts'
import { makeOutput, openOutputs } from './outputs-directory.ts'
import type { Answer, MountedView, MountWorkerParams } from './protocol.ts'
import { assertSameMounts } from './same-mounts.ts'
import { undoWorker } from './undo-worker.ts'
import {
  findWorkerDirectory,
  MARK,
  makeWorkerDirectory,
  removeDirectory,
  workerState,
} from './worker-directory.ts'
import { describeWorker } from './worker-ref.ts'

/**
 * Makes all mounts of a worker or none. Asked again for the same, it answers the same; asked
 * for something else while the worker is mounted, it refuses. Reads no table of the kernel:
 * its time must not grow with the number of mounts.
 */
export function mountWorker(
  host: MountHost,
  ref: WorkerRef,
  params: MountWorkerParams,
): Answer<'mountWorker'> {
  assertMountable(params)
  try {
    mountNew(host, ref, params)
  } catch (error) {
    if (error instanceof CkptdError) throw error
    throw new CkptdError(
      'mount_failed',
      `mounting ${describeWorker(ref)} failed: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    )
  }
  const path = `${host.jobs.path}/${ref.job}/${ref.worker}`
  return {
    ...(params.views.length > 0 ? { checkpointPath: `${path}/checkpoint` } : {}),
    ...(params.output === undefined ? {} : { outputPath: `${path}/output` }),
  }
}

function assertMountable({ views, output }: MountWorkerParams): void {
  if (views.length === 0 && output === undefined)
    throw new CkptdError('invalid_request', 'there is nothing to mount: neither view nor output')
  if (isWhole(views)) return
  for (const { directory } of views) assertComponent(directory)
  if (new Set(views.map(({ directory }) => directory)).size < views.length)
    throw new CkptdError('invalid_request', 'two views have the same directory')
}

/** One view that is the checkpoint directory itself, not a directory in it. */
function isWhole(views: readonly MountedView[]): boolean {
  return views.length === 1 && views[0]?.directory === ''
}

function mountNew(host: MountHost, ref: WorkerRef, params: MountWorkerParams): void {
  using worker = makeWorkerDirectory(host.jobs.fd, ref)
  if (worker === undefined) {
    if (isMountedAlready(host, ref, params)) return
    mountNew(host, ref, params)
    return
  }
  failpoint('mountd.marked')
  try {
    attachAll(host, worker.fd, ref, params)
  } catch (error) {
    undoWorker(host, ref, worker.fd)
    throw error
  }
  removeDirectory(worker.fd, MARK)
  failpoint('mountd.mounted')
}

/** False where the directory was rubble of an attempt cut short, which is gone now. */
function isMountedAlready(host: MountHost, ref: WorkerRef, params: MountWorkerParams): boolean {
  using worker = findWorkerDirectory(host.jobs.fd, ref)
  if (worker === undefined) return false
  const state = workerState(worker.fd)
  if (state === 'mounted') {
    assertSameMounts(host, worker.fd, ref, params)
    return true
  }
  if (state === 'releasing')
    throw new CkptdError('mount_busy', `${describeWorker(ref)} is being released`)
  if (undoWorker(host, ref, worker.fd)) return false
  throw new CkptdError('mount_busy', `${describeWorker(ref)} has mounts that are in use`)
}

function attachAll(
  host: MountHost,
  workerFd: number,
  ref: WorkerRef,
  { views, output }: MountWorkerParams,
): void {
  using data = openDataDirectory(host)
  using outputs = output === undefined ? undefined : openOutputs(data.fd)
  using outputDirectory =
    outputs === undefined ? undefined : makeOutput(outputs.fd, ref.key, output?.owner)
  failpoint('mountd.output-made')
  if (views.length > 0) {
    attachCheckpoint(workerFd, data.fd, views, host.peerUid)
    failpoint('mountd.view-attached')
  }
  if (outputDirectory !== undefined) {
    attachOutput(workerFd, outputDirectory.fd)
    failpoint('mountd.output-attached')
  }
}

function attachOutput(workerFd: number, outputFd: number): void {
  mkdirat(workerFd, 'output', 0o755)
  using tree = cloneWritable(outputFd)
  using target = openBeneath(workerFd, 'output', DIRECTORY)
  moveMount(tree.fd, target.fd)
}
