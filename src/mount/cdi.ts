import { mkdirSync, readdirSync } from 'node:fs'
import { CkptdError } from '../model/errors.ts'
import { flushDirectorySync, unlinkIfPresentSync, writeFileDurablySync } from '../os/durable.ts'
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

/** Removes what former helpers left: half-written files, and devices of workers not mounted. */
export function removeStaleCdi(host: Pick<MountHost, 'cdiDir'>, mounted: Set<string>): void {
  mkdirSync(host.cdiDir, { recursive: true, mode: 0o755 })
  const stale = readdirSync(host.cdiDir).filter((file) => {
    const [, name, ending] = /^ckptd-(.+)(\.json|\.json\.tmp)$/.exec(file) ?? []
    const ref = name === undefined ? undefined : findWorkerRef(name, '-')
    return ref !== undefined && (ending === '.json.tmp' || !mounted.has(ref.key))
  })
  for (const file of stale) unlinkIfPresentSync(`${host.cdiDir}/${file}`)
  if (stale.length > 0) flushDirectorySync(host.cdiDir)
}

function pathOf({ cdiDir }: Pick<MountHost, 'cdiDir'>, { job, worker }: WorkerRef): string {
  return `${cdiDir}/${PREFIX}${job}-${worker}.json`
}
