import { CkptdError } from '../model/errors.ts'
import { failpoint } from '../os/failpoint.ts'
import { renameNoReplace } from '../os/linux.ts'
import { directoryNames } from './attach-checkpoint.ts'
import { unlessErrno, whatIsAt } from './descriptor.ts'
import type { MountHost, WorkerRef } from './mount-host.ts'
import { findOutputs } from './outputs-directory.ts'
import type { Answer } from './protocol.ts'
import { releaseOutput } from './release-worker.ts'
import { removeTree } from './remove-tree.ts'
import { startTimeSlice, type TimeSlice } from './time-slice.ts'
import type { Unmounter } from './unmounter.ts'

/** The first step is a rename, so that no half-deleted output is ever taken for one. */
const DISCARDED = '.discarded.'
const COPIES = '.copies.'

/** Deletes a worker's output; nothing there is fine. */
export async function discardOutput(
  host: MountHost,
  ref: WorkerRef,
  unmount: Unmounter,
  slice: TimeSlice,
): Promise<Answer<'discardOutput'>> {
  const holders = await releaseOutput(host, ref, unmount)
  if (holders.length > 0) return { discarded: false, holders }
  using outputs = findOutputs(host)
  if (outputs === undefined) return { discarded: true }
  const doomed = `${DISCARDED}${ref.key}`
  await removeTree(outputs.fd, doomed, slice)
  unlessErrno('ENOENT', () => renameNoReplace(outputs.fd, ref.key, outputs.fd, doomed))
  failpoint('mountd.discarded')
  await removeTree(outputs.fd, doomed, slice)
  return { discarded: true }
}

/**
 * Run at start, before anything is asked: what former helpers were deleting or copying is
 * moved out of the way at once and deleted in the background.
 */
export function sweepOutputs(host: MountHost): Promise<void> {
  const doomed = collectRubble(host)
  return deleteRubble(host, doomed)
}

function collectRubble(host: MountHost): string[] {
  using outputs = openUnlessAbsent(host)
  if (outputs === undefined) return []
  return directoryNames(outputs.fd).flatMap((name) => {
    if (name.startsWith(DISCARDED)) return [name]
    if (!name.startsWith(COPIES)) return []
    for (let n = 0; ; n++) {
      const free = `${DISCARDED}${n}${name}`
      if (whatIsAt(outputs.fd, free) !== 'nothing') continue
      renameNoReplace(outputs.fd, name, outputs.fd, free)
      return [free]
    }
  })
}

async function deleteRubble(host: MountHost, names: readonly string[]): Promise<void> {
  if (names.length === 0) return
  using outputs = openUnlessAbsent(host)
  if (outputs === undefined) return
  for (const name of names) {
    try {
      await removeTree(outputs.fd, name, startTimeSlice(host.signal))
    } catch (error) {
      host.log.warn({ err: error }, `outputs/${name} is left for the next start`)
    }
  }
}

/** There is no data directory before the daemon's first start. */
function openUnlessAbsent(host: MountHost): ReturnType<typeof findOutputs> {
  try {
    return findOutputs(host)
  } catch (error) {
    if (!(error instanceof CkptdError)) throw error
    host.log.warn({ err: error }, 'outputs cannot be looked at')
    return undefined
  }
}
