import { fsync } from 'node:fs'
import { promisify } from 'node:util'
import { CkptdError } from '../model/errors.ts'
import { failpoint } from '../os/failpoint.ts'
import { errnoName, renameNoReplace } from '../os/linux.ts'
import { openDataDirectory } from './data-directory.ts'
import {
  type Descriptor,
  findBeneath,
  openBeneath,
  READABLE_DIRECTORY,
  whatIsAt,
} from './descriptor.ts'
import type { MountHost, WorkerRef } from './mount-host.ts'
import { openOutputs } from './outputs-directory.ts'
import type { Answer } from './protocol.ts'
import { releaseOutput } from './release-worker.ts'
import { takeOverTree } from './take-over-tree.ts'
import type { TimeSlice } from './time-slice.ts'
import type { Unmounter } from './unmounter.ts'
import { describeWorker } from './worker-ref.ts'

const flush = promisify(fsync)

/**
 * Gives a finished worker's output to the daemon: nobody has it mounted → everything in it is
 * made the daemon's → one rename from root's directory into the daemon's staging. Until that
 * rename the daemon cannot reach it; asking again after a crash goes on or answers the same.
 */
export async function handOverOutput(
  host: MountHost,
  ref: WorkerRef,
  unmount: Unmounter,
  slice: TimeSlice,
): Promise<Answer<'handOverOutput'>> {
  const holders = await releaseOutput(host, ref, unmount)
  if (holders.length > 0) return { handedOver: false, holders }
  using data = openDataDirectory(host)
  using outputs = openOutputs(data.fd)
  using staging = openStaging(data.fd)
  using output = findBeneath(outputs.fd, ref.key, READABLE_DIRECTORY)
  const stagingName = `output.${ref.key}`
  const isInStaging = whatIsAt(staging.fd, stagingName) !== 'nothing'
  if (output === undefined) {
    if (isInStaging) return { handedOver: true, stagingName }
    throw new CkptdError('not_found', `${describeWorker(ref)} has no output directory`)
  }
  if (isInStaging)
    throw new CkptdError('conflict', `staging/${stagingName} is there already; remove it first`)
  await takeOverTree(
    output.fd,
    { uid: host.peerUid, gid: host.peerGid },
    { besideFd: outputs.fd, copiesName: `.copies.${ref.key}` },
    slice,
  )
  failpoint('mountd.taken-over')
  renameNoReplace(outputs.fd, ref.key, staging.fd, stagingName)
  failpoint('mountd.handed-over')
  await flush(staging.fd)
  await flush(outputs.fd)
  return { handedOver: true, stagingName }
}

function openStaging(dataFd: number): Descriptor {
  try {
    return openBeneath(dataFd, 'staging', READABLE_DIRECTORY)
  } catch (cause) {
    throw new CkptdError(
      'mount_failed',
      `staging/ in the data directory is refused: it is missing, a link or a mount (${errnoName(cause)})`,
      { cause },
    )
  }
}
