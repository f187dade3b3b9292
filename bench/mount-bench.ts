import { mkdirSync, writeFileSync } from 'node:fs'
import type { Job } from '../src/agent-protocol/job.ts'
import { formatBytes } from '../src/model/size-text.ts'
import { startDaemon, type TestDaemon } from '../test/support/daemon.ts'
import type { Scratch } from '../test/support/scratch.ts'
import { beginFetch, findFetched, removeFetched, untilReady } from './fetched-checkpoint.ts'
import { interruption } from './interruption.ts'
import { mountCallBench } from './mount-call-bench.ts'
import { startNginx } from './nginx.ts'
import { writeLargeFile } from './sample-trees.ts'
import { LARGE_BYTES, SCALE } from './sizes.ts'
import { percentile } from './statistics.ts'

const SAMPLES = 500
const CROWD = Math.round(10_000 * SCALE)
/** Workers of one job of the crowd; a job may have 1,024. */
const CROWD_JOB = 1000

/** A worker's mount, asked for over the socket: alone, during a transfer, and among 10,000. */
export async function mountBench(place: Scratch): Promise<void> {
  mountCallBench(place)
  await using daemon = await startDaemon({ scratch: place })
  const root = place.join('www')
  mkdirSync(root)
  await using nginx = await startNginx(root, 1e9)
  writeFileSync(`${root}/small.bin`, 'small')
  await untilReady(daemon, await beginFetch(daemon, 'small', `${nginx.address}/small.bin`))

  const alone = await registerJob(daemon, SAMPLES)
  report('alone', await mountAll(daemon, alone))
  await finishJob(daemon, alone)

  writeLargeFile(`${root}/large.bin`, LARGE_BYTES)
  const { times, transfers } = await mountDuring(daemon, `${nginx.address}/large.bin`)
  report(`during transfers of ${formatBytes(LARGE_BYTES)} (${transfers} of them)`, times)

  // Last: they go with the filesystem.
  for (let left = CROWD; left > 0; left -= CROWD_JOB)
    await mountAll(daemon, await registerJob(daemon, Math.min(CROWD_JOB, left)))
  report(`${CROWD} present`, await mountAll(daemon, await registerJob(daemon, SAMPLES)))
}

function registerJob(daemon: TestDaemon, workers: number): Promise<Job> {
  return daemon.ok<Job>('POST', '/v1/jobs', {
    name: 'bench',
    worker_count: workers,
    model: { checkpoints: ['small'] },
  })
}

async function finishJob(daemon: TestDaemon, { id }: Job): Promise<void> {
  await daemon.ok('POST', `/v1/jobs/${id}/finish?wait=600`, {})
}

/** Mounts all workers of a job, one after the other; milliseconds of each. */
async function mountAll(daemon: TestDaemon, job: Job): Promise<number[]> {
  const times: number[] = []
  for (let n = 1; n <= job.worker_count; n++) times.push(await mountOne(daemon, job, n))
  return times
}

async function mountOne(daemon: TestDaemon, { id }: Job, worker: number): Promise<number> {
  interruption.throwIfAborted()
  const begun = performance.now()
  await daemon.ok('POST', `/v1/jobs/${id}/workers/${worker}/mount?wait=60`, {})
  return performance.now() - begun
}

/**
 * Mounts for as long as bytes arrive, and fetches again until there are enough samples. One that
 * the end of the transfer may have overtaken does not count.
 */
async function mountDuring(
  daemon: TestDaemon,
  url: string,
): Promise<{ times: number[]; transfers: number }> {
  const times: number[] = []
  let transfers = 0
  while (times.length < SAMPLES) {
    const id = await beginFetch(daemon, 'large', url)
    transfers += 1
    const job = await registerJob(daemon, SAMPLES)
    for (let n = 1; n <= SAMPLES && times.length < SAMPLES; n++) {
      const time = await mountOne(daemon, job, n)
      const { status, progress } = await findFetched(daemon, id)
      if (status === 'ready') break
      if (status === 'downloading' && (progress?.bytes_done ?? 0) > 0) times.push(time)
    }
    await removeFetched(daemon, id, 1)
    await finishJob(daemon, job)
  }
  return { times, transfers }
}

function report(title: string, times: readonly number[]): void {
  const [p50, p99] = [percentile(times, 0.5), percentile(times, 0.99)]
  const verdict = p50 < 3 && p99 < 10 ? 'reached' : 'MISSED'
  process.stdout.write(
    `mount over the socket, ${title}: p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms (targets < 3 and < 10: ${verdict})\n`,
  )
}
