import { spawnSync } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { assertKernel } from '../../src/mount/host-requirements.ts'
import { runMountd } from '../../src/mount/mountd.ts'
import { recordLog, startHelper } from './support/helper.ts'
import { makeWorld, mountsBelow, PEER, type World } from './support/world.ts'

let world: World
beforeEach(() => {
  world = makeWorld()
})
afterEach(() => world[Symbol.dispose]())

const run = () =>
  runMountd({ ...world.options, log: recordLog(), signal: AbortSignal.timeout(10_000) })

test.each(['4.19.0', '5.11.22-generic', '5.4.0'])(
  'Linux %s is refused in one sentence',
  (version) => {
    expect(() => assertKernel(version)).toThrow(
      `the mount helper needs Linux 5.12 or newer and this is ${version}`,
    )
  },
)

test.each(['5.12.0', '5.15.0-91-generic', '6.1', '10.0.1+'])('Linux %s will do', (version) => {
  expect(() => assertKernel(version)).not.toThrow()
})

test('a runtime directory where the peer may move names is refused', async () => {
  mkdirSync(world.runtimeDir)
  chownSync(world.runtimeDir, PEER.uid, PEER.gid)
  await expect(run()).rejects.toMatchObject({ code: 'invalid_config' })
  chownSync(world.runtimeDir, 0, PEER.gid)
  chmodSync(world.runtimeDir, 0o775)
  await expect(run()).rejects.toMatchObject({ code: 'invalid_config' })
  chmodSync(world.runtimeDir, 0o1775)
  await using helper = await startHelper(world)
  expect(await helper.client.list({})).toEqual({ workers: [], outputs: [] })
})

test('jobs/ that is a link or somebody else’s mount is refused', async () => {
  mkdirSync(world.runtimeDir)
  const jobs = `${world.runtimeDir}/jobs`
  symlinkSync('/', jobs)
  await expect(run()).rejects.toThrow()
  spawnSync('rm', [jobs])
  mkdirSync(jobs)
  expect(spawnSync('mount', ['-t', 'tmpfs', 'none', jobs]).status).toBe(0)
  await expect(run()).rejects.toMatchObject({ code: 'mount_failed' })
  expect(mountsBelow(jobs)).toHaveLength(1)
})

test('a runtime directory that is reached through a link is used by its real path', async () => {
  mkdirSync(`${world.root}/real`)
  symlinkSync('real', world.runtimeDir)
  await using helper = await startHelper(world)
  const { checkpointPath } = await helper.client.mountWorker({
    job: '0b0e0b0e-1111-4222-8333-444455556666',
    worker: 1,
    views: [{ view: world.view('a'), directory: '' }],
  })
  expect(checkpointPath).toContain('/real/jobs/')
  expect((await helper.client.list({})).workers).toHaveLength(1)
  await helper.client.releaseWorker({ job: '0b0e0b0e-1111-4222-8333-444455556666', worker: 1 })
  expect(readdirSync(`${world.root}/real/jobs`)).toEqual([])
})

test('there need not be a data directory yet', async () => {
  spawnSync('rm', ['-r', world.dataDir])
  await using helper = await startHelper(world)
  await expect(helper.client.list({})).rejects.toMatchObject({ code: 'mount_failed' })
  mkdirSync(world.dataDir)
  chownSync(world.dataDir, PEER.uid, PEER.gid)
  expect(await helper.client.list({})).toEqual({ workers: [], outputs: [] })
})
