import { randomFillSync } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import type { Job } from '../src/agent-protocol/job.ts'
import { startDaemon, type TestDaemon } from '../test/support/daemon.ts'
import { makeScratch } from '../test/support/scratch.ts'
import { LARGE_BYTES, LARGE_FILES, percentile, SCALE } from './compare.ts'
import { startNginx } from './nginx.ts'

const SAMPLES = 200

/** A worker's mount, asked for over the socket: alone, among 10,000, and during a transfer. */
export async function mountBench(): Promise<void> {
  await using scratch = makeScratch('bench-mount')
  await using daemon = await startDaemon()
  await using nginx = await startNginx(scratch.path, 1e9)
  writeFileSync(scratch.join('small.bin'), 'small')
  await daemon.ok('POST', '/checkpoint', {
    name: 'small',
    source_type: 'web',
    source_uri: `${nginx.address}/small.bin`,
  })
  await daemon.waitReady('small')
  report('mount over the socket, alone', await mountMany(daemon, SAMPLES))
  const crowd = Math.round(10_000 * SCALE)
  const jobs: Job[] = []
  for (let left = crowd; left > 0; left -= 1000)
    jobs.push(await mountJob(daemon, Math.min(1000, left)))
  report(`mount over the socket, ${crowd} present`, await mountMany(daemon, SAMPLES))
  for (const job of jobs) await daemon.ok('POST', `/v1/jobs/${job.id}/finish?wait=600`, {})

  const bytes = Buffer.alloc(LARGE_BYTES)
  randomFillSync(bytes)
  for (let n = 0; n < LARGE_FILES; n++)
    writeFileSync(scratch.join('large.bin'), bytes, { flag: 'a' })
  await daemon.ok('POST', '/checkpoint', {
    name: 'large',
    source_type: 'web',
    source_uri: `${nginx.address}/large.bin`,
  })
  const during = await mountMany(daemon, SAMPLES)
  const { status } = await daemon.ok<{ status: string }>('GET', '/checkpoint/large')
  report(`mount over the socket, during a 2 GiB transfer (${status} at the end)`, during)
}

async function mountJob(daemon: TestDaemon, workers: number): Promise<Job> {
  const job = await daemon.ok<Job>('POST', '/v1/jobs', {
    name: 'crowd',
    worker_count: workers,
    model: { checkpoints: ['small'] },
  })
  for (let n = 1; n <= workers; n++)
    await daemon.ok('POST', `/v1/jobs/${job.id}/workers/${n}/mount?wait=60`, {})
  return job
}

/** Milliseconds of each mount; released again, untimed. */
async function mountMany(daemon: TestDaemon, count: number): Promise<number[]> {
  const job = await daemon.ok<Job>('POST', '/v1/jobs', {
    name: 'timed',
    worker_count: count,
    model: { checkpoints: ['small'] },
  })
  const times: number[] = []
  for (let n = 1; n <= count; n++) {
    const begun = performance.now()
    await daemon.ok('POST', `/v1/jobs/${job.id}/workers/${n}/mount?wait=60`, {})
    times.push(performance.now() - begun)
  }
  await daemon.ok('POST', `/v1/jobs/${job.id}/finish?wait=600`, {})
  return times
}

function report(title: string, times: readonly number[]): void {
  const [p50, p99] = [percentile(times, 0.5), percentile(times, 0.99)]
  const verdict = p50 < 3 && p99 < 10 ? 'reached' : 'MISSED'
  process.stdout.write(
    `${title}: p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms (targets < 3 and < 10: ${verdict})\n`,
  )
}
