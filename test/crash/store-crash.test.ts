import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parseCheckpointId } from '../../src/model/ids.ts'
import { parseRelativePath } from '../../src/model/relative-path.ts'
import { FAILPOINTS } from '../../src/os/failpoint.ts'
import { assertStoreInvariants } from '../support/invariants.ts'
import { makeLoopImage, mountLoopImage } from '../support/loop-image.ts'
import { makeScratch } from '../support/scratch.ts'
import { beginIngest, openTestStore, publishTree } from '../support/store.ts'

const SCENARIO = fileURLToPath(new URL('store-scenario.ts', import.meta.url))
const STORE_POINTS = FAILPOINTS.filter((name) =>
  /^(ingest|manifest|view|publish|removal)\./.test(name),
)

function runScenario(
  directory: string,
  acknowledged: string,
  failpoint: string,
  prefix: string[] = [],
) {
  writeFileSync(acknowledged, '')
  const [program, ...args] = [...prefix, process.execPath, SCENARIO, directory, acknowledged]
  return spawnSync(program, args, {
    env: { ...process.env, CKPTD_FAILPOINT: failpoint },
    encoding: 'utf8',
    timeout: 100_000,
  })
}

/** Opens the store after the crash and checks it against what was acknowledged before. */
async function assertRecovers(directory: string, acknowledged: string): Promise<void> {
  const lines = readFileSync(acknowledged, 'utf8').split('\n').filter(Boolean)
  await using store = await openTestStore(directory)
  await assertStoreInvariants(store)
  const removing = lines
    .filter((line) => line.startsWith('removing '))
    .map((line) => line.split(' ')[1])
  for (const line of lines) {
    const [what, id = '', bytes = '0'] = line.split(' ')
    const row = store.database.checkpoints.find(id)
    if (what === 'ready' && !removing.includes(id)) expect(row?.status, line).toBe('ready')
    if (what === 'removed') expect(row, line).toBeUndefined()
    if (what === 'durable' && row?.status === 'downloading') {
      const ingest = store.openIngest(parseCheckpointId(id), row.domain)
      if (ingest.hasStored(parseRelativePath('weights.bin'))) continue
      await using file = await ingest.openFile('weights.bin', 'v1')
      expect(file.durableBytes, line).toBeGreaterThanOrEqual(Number(bytes))
    }
  }
  // And it goes on working.
  const id = await publishTree(store, { 'after/the/crash': 'still works' }, { name: 'after' })
  expect(store.database.checkpoints.find(id)?.status).toBe('ready')
  const { ingest } = beginIngest(store)
  expect(ingest.totals().entries).toBe(0)
}

describe('a store whose process is killed', () => {
  it.each(STORE_POINTS.flatMap((name) => [1, 3].map((n) => [name, n] as const)))(
    'at %s, passage %i, is recovered whole',
    async (name, passage) => {
      await using scratch = makeScratch('kill')
      const acknowledged = scratch.join('acknowledged')
      const run = runScenario(scratch.join('data'), acknowledged, `${name}:${passage}=kill`)
      // A point that is passed less often lets the scenario end; its first passage must kill.
      if (passage === 1) expect(run.signal, `${name} is passed: ${run.stderr}`).toBe('SIGKILL')
      await assertRecovers(scratch.join('data'), acknowledged)
    },
  )
})

/**
 * A power cut: the store lies on a loop image, and at each failure point the image's file is
 * copied as the disk would be found: what was not flushed is not in it.
 */
async function cutPowerEverywhere(
  type: 'ext4' | 'xfs',
  prefix: string[],
  check: (copy: { point: string; directory: string; acknowledged: string }) => Promise<void>,
): Promise<number> {
  await using scratch = makeScratch('power')
  const copies = scratch.join('copies')
  mkdirSync(copies)
  const mountOptions = type === 'ext4' ? 'commit=300' : 'nouuid'
  const hook = scratch.join('hook')
  const acknowledged = scratch.join('acknowledged')
  const image = scratch.join('image')
  writeFileSync(
    hook,
    `#!/bin/sh
[ "$2" -le 3 ] || [ "$2" = 7 ] || exit 0
cp ${acknowledged} ${copies}/$1.$2.acknowledged
cp --sparse=always ${image} ${copies}/$1.$2.img
`,
  )
  chmodSync(hook, 0o755)
  {
    using loop = makeLoopImage(image, scratch.join('mnt'), {
      sizeMb: type === 'xfs' ? 320 : 128,
      type,
      mount: mountOptions,
    })
    const run = runScenario(`${loop.mountPoint}/data`, acknowledged, `*=exec:${hook}`, prefix)
    expect(run.status, run.stderr).toBe(0)
  }
  const points = readdirSync(copies).filter((name) => name.endsWith('.img'))
  for (const name of points) {
    const point = name.replace(/\.img$/, '')
    using loop = mountLoopImage(
      `${copies}/${name}`,
      scratch.join('copy'),
      type === 'xfs' ? 'nouuid' : 'rw',
    )
    // Before the directory itself is durable nothing was promised.
    if (!existsSync(`${loop.mountPoint}/data`)) mkdirSync(`${loop.mountPoint}/data`)
    await check({
      point,
      directory: `${loop.mountPoint}/data`,
      acknowledged: `${copies}/${point}.acknowledged`,
    })
  }
  return points.length
}

describe.each(['ext4', 'xfs'] as const)('a store on %s whose power is cut', (type) => {
  it('is recovered whole from every failure point', { timeout: 400_000 }, async () => {
    const failures: string[] = []
    const seen = await cutPowerEverywhere(type, [], async ({ point, directory, acknowledged }) => {
      await assertRecovers(directory, acknowledged).catch((error: unknown) => {
        failures.push(`${point}: ${String(error)}`)
      })
    })
    expect(failures).toEqual([])
    expect(seen).toBeGreaterThan(STORE_POINTS.length)
  })
})

describe('the power-cut test itself', () => {
  it('fails when flushing is switched off', { timeout: 400_000 }, async () => {
    // Every flush answers "done" and does nothing.
    const noFlush = [
      'strace',
      '-f',
      '-qq',
      '-o',
      '/dev/null',
      '-e',
      'trace=fsync,fdatasync,syncfs',
      '-e',
      'inject=fsync,fdatasync,syncfs:retval=0',
    ]
    const failures: string[] = []
    await cutPowerEverywhere('ext4', noFlush, async ({ point, directory, acknowledged }) => {
      await assertRecovers(directory, acknowledged).catch((error: unknown) => {
        failures.push(`${point}: ${String(error)}`)
      })
    })
    expect(failures.length, 'lost data must be noticed').toBeGreaterThan(3)
  })
})
