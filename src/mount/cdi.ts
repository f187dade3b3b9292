import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { CkptdError } from '../model/errors.ts'
import { flushDirectorySync, unlinkIfPresentSync, writeFileDurablySync } from '../os/durable.ts'
import { isErrno } from '../os/errno.ts'
import { failpoint } from '../os/failpoint.ts'
import { whatIsAt } from './descriptor.ts'
import type { MountHost, WorkerRef } from './mount-host.ts'
import type { Answer } from './protocol.ts'
import { findWorkerDirectory, workerState } from './worker-directory.ts'
import { describeWorker, findWorkerRef } from './worker-ref.ts'

const KIND = 'ckptd.local/worker'
const PREFIX = 'ckptd-'

type CdiHost = Pick<MountHost, 'cdiDir' | 'jobs' | 'containerPrefix' | 'envPrefix'>

/**
 * Writes the Container Device Interface file of a mounted worker. A file in that directory can
 * name hooks that run as root, so nothing in it comes from the peer but two validated ids.
 * While it is written it ends in ".tmp", which readers of the directory pass over.
 */
export function writeCdi(host: CdiHost, ref: WorkerRef): Answer<'writeCdi'> {
  using worker = findWorkerDirectory(host.jobs.fd, ref)
  if (worker === undefined || workerState(worker.fd) !== 'mounted')
    throw new CkptdError('conflict', `${describeWorker(ref)} is not mounted`)
  const edits = containerEdits(host, ref, {
    checkpoint: whatIsAt(worker.fd, 'checkpoint') === 'mount',
    output: whatIsAt(worker.fd, 'output') === 'mount',
  })
  const name = `${ref.job}-${ref.worker}`
  const text = JSON.stringify(
    { cdiVersion: '0.5.0', kind: KIND, devices: [{ name, containerEdits: edits }] },
    undefined,
    2,
  )
  mkdirSync(host.cdiDir, { recursive: true, mode: 0o755 })
  writeFileDurablySync(pathOf(host, ref), `${text}\n`, 0o644)
  failpoint('mountd.cdi-written')
  return { device: `${KIND}=${name}` }
}

function containerEdits(
  { jobs, containerPrefix, envPrefix }: CdiHost,
  { job, worker }: WorkerRef,
  mounted: { checkpoint: boolean; output: boolean },
): object {
  const places = [
    ...(mounted.checkpoint ? [{ name: 'checkpoint', access: 'ro' }] : []),
    ...(mounted.output ? [{ name: 'output', access: 'rw' }] : []),
  ]
  return {
    env: places.map(
      ({ name }) => `${envPrefix}_${name.toUpperCase()}_PATH=${containerPrefix}/${name}`,
    ),
    mounts: places.map(({ name, access }) => ({
      hostPath: `${jobs.path}/${job}/${worker}/${name}`,
      containerPath: `${containerPrefix}/${name}`,
      options: [access, 'rbind', 'nosuid', 'nodev'],
    })),
  }
}

/** Takes a worker's device away, so that no container starts with it any more. */
export function removeCdi(host: Pick<MountHost, 'cdiDir'>, ref: WorkerRef): void {
  unlinkIfPresentSync(pathOf(host, ref))
}

/** Nobody writes a file for so long: one that is no JSON by then was left half-written. */
const HALF_WRITTEN_MS = 60_000

/**
 * Removes what former helpers of this runtime directory left: half-written files, and devices
 * of workers not mounted. Helpers of other runtime directories keep theirs in the same place.
 */
export function removeStaleCdi(
  host: Pick<MountHost, 'cdiDir' | 'jobs'>,
  mounted: Set<string>,
): void {
  mkdirSync(host.cdiDir, { recursive: true, mode: 0o755 })
  const stale = readdirSync(host.cdiDir).filter((file) => {
    const [, name, ending] = /^ckptd-(.+)(\.json|\.json\.tmp)$/.exec(file) ?? []
    const ref = name === undefined ? undefined : findWorkerRef(name, '-')
    if (ref === undefined || (ending === '.json' && mounted.has(ref.key))) return false
    return isOfRuntime(`${host.cdiDir}/${file}`, host.jobs.path)
  })
  for (const file of stale) unlinkIfPresentSync(`${host.cdiDir}/${file}`)
  if (stale.length > 0) flushDirectorySync(host.cdiDir)
}

/** Whether all that a device shows lies below this jobs directory. */
function isOfRuntime(path: string, jobsPath: string): boolean {
  let text: string
  let ageMs: number
  try {
    text = readFileSync(path, 'utf8')
    ageMs = Date.now() - statSync(path).mtimeMs
  } catch (error) {
    // Another helper has just finished it, or taken it away.
    if (isErrno(error, 'ENOENT')) return false
    throw error
  }
  const hostPaths = hostPathsOf(text)
  if (hostPaths === undefined) return ageMs > HALF_WRITTEN_MS
  return hostPaths.length > 0 && hostPaths.every((hostPath) => hostPath.startsWith(`${jobsPath}/`))
}

/** Undefined where the text is not all of a device as it is written here. */
function hostPathsOf(text: string): string[] | undefined {
  try {
    const { devices } = JSON.parse(text) as {
      devices: { containerEdits: { mounts: { hostPath: string }[] } }[]
    }
    return devices.flatMap(({ containerEdits }) =>
      containerEdits.mounts.map(({ hostPath }) => hostPath),
    )
  } catch {
    return undefined
  }
}

function pathOf({ cdiDir }: Pick<MountHost, 'cdiDir'>, { job, worker }: WorkerRef): string {
  return `${cdiDir}/${PREFIX}${job}-${worker}.json`
}
