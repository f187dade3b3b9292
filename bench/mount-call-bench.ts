import { randomUUID } from 'node:crypto'
import { constants, mkdirSync, openSync } from 'node:fs'
import { type Descriptor, descriptor } from '../src/mount/descriptor.ts'
import { cloneReadOnly } from '../src/mount/detached-mount.ts'
import { openJobsMount } from '../src/mount/jobs-mount.ts'
import type { MountHost } from '../src/mount/mount-host.ts'
import { mountWorker } from '../src/mount/mount-worker.ts'
import { workerRef } from '../src/mount/worker-ref.ts'
import { mount, moveMount, O_PATH, unmount } from '../src/os/linux.ts'
import type { Scratch } from '../test/support/scratch.ts'
import { percentile } from './statistics.ts'

const SAMPLES = 1000
const MS_BIND = 0x1000
const VIEW = `host/${'a'.repeat(64)}.1`

/**
 * The system calls that mount a view (cloned, made read-only and asked whether it is, attached)
 * beside a plain bind mount; then all that the helper does for a worker, without its socket. In
 * this process, as root.
 */
export function mountCallBench(place: Scratch): void {
  const host = makeHost(place)
  using _jobs = descriptor(host.jobs.fd)
  const viewPath = `${host.dataDir}/views/${VIEW}`
  mkdirSync(viewPath, { recursive: true })
  const target = `${host.jobs.path}/target`
  mkdirSync(target)
  using view = openDirectory(viewPath)
  using mountPoint = openDirectory(target)

  const bound: number[] = []
  const attached: number[] = []
  for (let n = 0; n < SAMPLES; n++) {
    bound.push(microseconds(() => mount(viewPath, target, '', MS_BIND, '')))
    unmount(target)
    attached.push(
      microseconds(() => {
        using tree = cloneReadOnly(view.fd)
        moveMount(tree.fd, mountPoint.fd)
      }),
    )
    unmount(target)
  }
  const verdict = percentile(attached, 0.5) < 100 ? 'reached' : 'MISSED'
  process.stdout.write(
    `mount calls of a view: ${inMicroseconds(attached)} (target of p50 < 100: ${verdict}); a plain bind mount: ${inMicroseconds(bound)}\n`,
  )

  const job = randomUUID()
  const whole: number[] = []
  for (let worker = 1; worker <= SAMPLES; worker++) {
    const ref = workerRef({ job, worker })
    const params = { job, worker, views: [{ view: VIEW, directory: '' }] }
    whole.push(microseconds(() => mountWorker(host, ref, params)))
    unmount(`${host.jobs.path}/${job}/${worker}/checkpoint`)
  }
  process.stdout.write(`mount of a worker in the helper: ${inMicroseconds(whole)}\n`)
}

function makeHost(place: Scratch): MountHost {
  const ignore = (): void => undefined
  return {
    dataDir: place.join('call/data'),
    peerUid: 0,
    peerGid: 0,
    cdiDir: place.join('call/cdi'),
    containerPrefix: '/opt/trainml',
    envPrefix: 'TRAINML',
    jobs: openJobsMount(place.join('call/run')),
    log: { info: ignore, warn: ignore, error: ignore },
    signal: new AbortController().signal,
  }
}

function openDirectory(path: string): Descriptor {
  return descriptor(openSync(path, O_PATH | constants.O_DIRECTORY))
}

function microseconds(work: () => void): number {
  const begun = performance.now()
  work()
  return (performance.now() - begun) * 1000
}

function inMicroseconds(times: readonly number[]): string {
  const [p50, p99] = [percentile(times, 0.5), percentile(times, 0.99)]
  return `p50 ${p50.toFixed(0)} µs, p99 ${p99.toFixed(0)} µs`
}
