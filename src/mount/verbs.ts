import { CkptdError } from '../model/errors.ts'
import { fileError } from '../os/errno.ts'
import { writeCdi } from './cdi.ts'
import { discardOutput } from './discard-output.ts'
import { createExclusive } from './exclusive.ts'
import { handOverOutput } from './hand-over.ts'
import { listWorkers } from './list-workers.ts'
import type { MountHost, WorkerRef } from './mount-host.ts'
import { mountWorker } from './mount-worker.ts'
import type { MountVerbs, WorkerParams } from './protocol.ts'
import { releaseWorker } from './release-worker.ts'
import { startTimeSlice, type TimeSlice } from './time-slice.ts'
import { createUnmounter, type Unmounter } from './unmounter.ts'
import { describeWorker, workerRef } from './worker-ref.ts'

/** What the helper can do, on whatever a peer may send. */
export function createVerbs(host: MountHost): { verbs: MountVerbs; settle: () => Promise<void> } {
  const exclusive = createExclusive()
  const unmount = createUnmounter(host)
  const assertRunning = (): void => {
    if (host.signal.aborted)
      throw new CkptdError('mounts_unavailable', 'the mount helper is stopping')
  }
  const enter = (params: WorkerParams): WorkerRef => {
    assertRunning()
    return workerRef(params)
  }
  const long =
    <T>(
      verb: string,
      doing: string,
      action: (host: MountHost, ref: WorkerRef, unmount: Unmounter, slice: TimeSlice) => Promise<T>,
    ) =>
    (params: WorkerParams): Promise<T> => {
      const ref = enter(params)
      return exclusive.run(ref, verb, async () => {
        try {
          return await action(host, ref, unmount, startTimeSlice(host.signal))
        } catch (error) {
          throw fileError(error, `${doing} of ${describeWorker(ref)}`)
        }
      })
    }
  const verbs: MountVerbs = {
    mountWorker: (params) => {
      const ref = enter(params)
      exclusive.assertFree(ref)
      return mountWorker(host, ref, params)
    },
    writeCdi: (params) => {
      const ref = enter(params)
      exclusive.assertFree(ref)
      return writeCdi(host, ref)
    },
    list: () => {
      assertRunning()
      return listWorkers(host)
    },
    releaseWorker: long('releaseWorker', 'the release', releaseWorker),
    handOverOutput: long('handOverOutput', 'the hand-over of the output', handOverOutput),
    discardOutput: long('discardOutput', 'the removal of the output', discardOutput),
  }
  return { verbs, settle: () => exclusive.settle() }
}
