import { execFileSync } from 'node:child_process'
import { randomFillSync } from 'node:crypto'
import { truncateSync, writeFileSync } from 'node:fs'
import { startDaemon, type TestDaemon } from '../test/support/daemon.ts'
import { makeScratch } from '../test/support/scratch.ts'
import { compare, LARGE_BYTES, LARGE_FILES, peakMemoryBytes } from './compare.ts'
import { startNginx } from './nginx.ts'

const THROTTLE_BYTES_PER_SECOND = 8 * 1024 * 1024

/** One large file: fetched, hashed and durable, beside curl and aria2c with a flush. */
export async function downloadBench(): Promise<void> {
  await using scratch = makeScratch('bench-download')
  await using daemon = await startDaemon()
  const bytes = Buffer.alloc(LARGE_BYTES)
  randomFillSync(bytes)
  const file = scratch.join('model.bin')
  writeFileSync(file, bytes)
  for (let n = 1; n < LARGE_FILES; n++) writeFileSync(file, bytes, { flag: 'a' })
  await using nginx = await startNginx(scratch.path, THROTTLE_BYTES_PER_SECOND)
  const into = (name: string): string => scratch.join(name)
  const curl = (url: string) => ({
    name: 'curl + sync',
    run: () => {
      execFileSync('curl', ['-sS', '-o', into('curl.bin'), url])
      execFileSync('sync', [into('curl.bin')])
    },
  })
  const aria2 = (url: string) => ({
    name: 'aria2c -x16 + sync',
    prepare: () => execFileSync('rm', ['-f', into('aria.bin')]),
    run: () => {
      execFileSync('aria2c', [
        '-q',
        '-x16',
        '-s16',
        '-k1M',
        '--file-allocation=none',
        '-d',
        scratch.path,
        '-o',
        'aria.bin',
        url,
      ])
      execFileSync('sync', [into('aria.bin')])
    },
  })
  const plain = `${nginx.address}/model.bin`
  await compare('download of one 2 GiB file', 0.9, [ours(daemon, plain), curl(plain), aria2(plain)])
  truncateSync(file, (LARGE_BYTES * LARGE_FILES) / 4)
  const throttled = `${nginx.address}/throttled/model.bin`
  await compare('download of 512 MiB, 8 MiB/s a connection', 1, [
    ours(daemon, throttled),
    aria2(throttled),
  ])
  const { daemon: pid } = daemon.pids()
  process.stdout.write(
    `peak memory of ckptd with its threads: ${(peakMemoryBytes(pid) / 1e6).toFixed(0)} MB (target < 200)\n`,
  )
}

function ours(daemon: TestDaemon, url: string) {
  return {
    name: 'ckptd',
    run: async () => {
      await daemon.ok('POST', '/checkpoint', { name: 'bench', source_type: 'web', source_uri: url })
      const { id } = await daemon.waitReady('bench')
      await daemon.ok('DELETE', `/checkpoint/${id}`)
    },
  }
}
