import { execFileSync } from 'node:child_process'
import { closeSync, ftruncateSync, mkdirSync, openSync, statSync, writeSync } from 'node:fs'
import { expect, it } from 'vitest'
import type { Checkpoint, CheckpointDetails } from '../../src/agent-protocol/checkpoint.ts'
import type { Job, MountResult, Worker } from '../../src/agent-protocol/job.ts'
import { startNginx } from '../sources/support/nginx.ts'
import { startDaemon, type TestDaemon, until } from '../support/daemon.ts'
import { makeScratch } from '../support/scratch.ts'

/** More than a signed number of 32 bits holds. */
const SIZE = 2 ** 31 + 60_000_001

/** A file with something at its start, across 2^31, and at its end; holes between. */
function writeLarge(file: string, word: string): void {
  const fd = openSync(file, 'wx')
  ftruncateSync(fd, SIZE)
  for (const at of [0, 2 ** 31 - 4, SIZE - word.length]) writeSync(fd, word, at)
  closeSync(fd)
}

const digestOf = (file: string): string =>
  execFileSync('sha256sum', [file], { encoding: 'utf8' }).slice(0, 64)

/** Fails where the two differ in a byte. */
const compare = (one: string, other: string): unknown => execFileSync('cmp', [one, other])

/** So many bytes take a while on a disk that has other work. */
const TIMEOUT_MS = 300_000

async function onlyFile(daemon: TestDaemon, id = '') {
  const { contents } = await daemon.ok<CheckpointDetails>('GET', `/checkpoint/${id}/details`)
  expect(contents).toHaveLength(1)
  return contents[0]
}

it(
  'a file of more than 2 GiB is taken in, mounted and read, and one is saved as output, its holes kept',
  async () => {
    await using scratch = makeScratch('large')
    mkdirSync(scratch.join('www'))
    const origin = scratch.join('www/weights.bin')
    writeLarge(origin, 'a checkpoint')
    await using nginx = await startNginx(scratch.path)
    await using daemon = await startDaemon()
    const { id } = await daemon.ok<Checkpoint>('POST', '/checkpoint', {
      name: 'large',
      source_type: 'web',
      source_uri: `${nginx.origin}/weights.bin`,
    })
    const sha256 = digestOf(origin)
    const isReady = async (): Promise<boolean> =>
      (await daemon.ok<Checkpoint>('GET', `/checkpoint/${id}`)).status === 'ready'
    await until(isReady, TIMEOUT_MS)
    expect((await daemon.waitReady(id)).size).toBe(SIZE)
    expect(await onlyFile(daemon, id)).toMatchObject({ path: 'weights.bin', size: SIZE, sha256 })

    const job = await daemon.ok<Job>('POST', '/v1/jobs', {
      name: 'large',
      model: { checkpoints: ['large'] },
      data: { output_type: 'trainml', output_uri: 'checkpoint' },
    })
    const worker1 = `/v1/jobs/${job.id}/workers/1`
    const mount = await daemon.ok<MountResult>('POST', `${worker1}/mount?wait=60`, {})
    const mounted = `${mount.checkpoint_path}/weights.bin`
    expect(statSync(mounted).size).toBe(SIZE)
    compare(origin, mounted)

    const output = `${mount.output_path}/optimizer.bin`
    writeLarge(output, 'an output')
    writeLarge(scratch.join('same'), 'an output')
    const worker = await daemon.ok<Worker>('POST', `${worker1}/finish?wait=100`, {})
    expect(worker.state).toBe('finished')
    expect((await daemon.ok<Checkpoint>('GET', `/checkpoint/${worker.output_uuid}`)).size).toBe(
      SIZE,
    )
    const saved = await onlyFile(daemon, worker.output_uuid)
    expect(saved).toMatchObject({ path: 'optimizer.bin', size: SIZE })
    const path = `${daemon.dataDir}/objects/host/${saved?.sha256}`
    compare(scratch.join('same'), path)
    const object = statSync(path)
    expect(object.size).toBe(SIZE)
    expect(object.blocks * 512, 'bytes on the disk').toBeLessThan(1024 * 1024)
  },
  TIMEOUT_MS,
)
