import { randomUUID } from 'node:crypto'
import { existsSync, linkSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { MountClient } from '../../src/mount/client.ts'
import { FAILPOINTS } from '../../src/os/failpoint.ts'
import { connect, startHelper, startHelperProcess } from './support/helper.ts'
import { makeWorld, mountsBelow, PEER, type World } from './support/world.ts'

let world: World
beforeEach(() => {
  world = makeWorld()
})
afterEach(() => world[Symbol.dispose]())

const job = randomUUID()
const FILES = ['linked', 'linked again', 'result']

/** A day of a host: what the daemon asks for, in order; each step may be asked again. */
function day(): ((client: MountClient) => Promise<unknown>)[] {
  const [a, b] = [world.view('a'), world.view('b')]
  const ref = (worker: number) => ({ job, worker })
  const parts = [
    { view: a, directory: 'first' },
    { view: b, directory: 'second' },
  ]
  return [
    (client) => client.mountWorker({ ...ref(1), views: [{ view: a, directory: '' }], output: {} }),
    (client) => client.mountWorker({ ...ref(2), views: parts, output: {} }),
    (client) => client.mountWorker({ ...ref(3), views: [], output: {} }),
    (client) => client.writeCdi(ref(1)),
    (client) => client.writeCdi(ref(2)),
    () => Promise.resolve(fillOutputs()),
    (client) => client.releaseWorker(ref(2)),
    (client) => client.releaseWorker(ref(1)),
    (client) => client.handOverOutput(ref(1)),
    (client) => client.handOverOutput(ref(2)),
    (client) => client.discardOutput(ref(3)),
    (client) => client.releaseWorker(ref(3)),
  ]
}

function fillOutputs(): void {
  for (const worker of [1, 2, 3]) {
    const output = world.outputPath(job, worker)
    writeFileSync(`${output}/result`, `of worker ${worker}`)
    const foreign = `${world.root}/foreign-${worker}`
    if (!existsSync(foreign)) writeFileSync(foreign, 'shared with somebody')
    for (const name of ['linked', 'linked again'])
      if (!existsSync(`${output}/${name}`)) linkSync(foreign, `${output}/${name}`)
  }
}

/** Runs steps until the helper dies; answers how many were acknowledged. */
async function perform(client: MountClient, steps: ReturnType<typeof day>): Promise<number> {
  for (const [index, step] of steps.entries()) {
    try {
      await step(client)
    } catch (error) {
      expect(error).toMatchObject({ code: 'mounts_unavailable' })
      return index
    }
  }
  return steps.length
}

/** Every worker is mounted as a whole, or being released, or there is nothing of it. */
async function expectNothingBetween(client: MountClient, acknowledged: number): Promise<void> {
  const { workers, outputs } = await client.list({})
  const jobs = `${world.runtimeDir}/jobs`
  const directories = existsSync(`${jobs}/${job}`) ? readdirSync(`${jobs}/${job}`) : []
  expect(workers.map(({ worker }) => `${worker}`).sort()).toEqual(directories.sort())
  const mounts = mountsBelow(jobs).slice(1)
  for (const { worker, views, output, releasing } of workers) {
    if (releasing) continue
    const path = `${jobs}/${job}/${worker}`
    expect({ views: views.length, output }).toEqual({ views: [1, 2, 0][worker - 1], output: true })
    const shown = mounts.filter(({ mountPoint }) => mountPoint.startsWith(`${path}/`))
    expect(shown).toHaveLength([2, 4, 1][worker - 1] ?? 0)
    for (const { mountPoint, options } of shown)
      expect(options).toContain(mountPoint.includes('/checkpoint') ? 'ro' : 'rw')
  }
  // What was acknowledged is there: workers 1 to 3 from steps 0 to 2 until their release.
  for (const [worker, [mounted, released]] of [
    [1, [0, 7]],
    [2, [1, 6]],
    [3, [2, 10]],
  ] as const)
    if (acknowledged > mounted && acknowledged < released)
      expect(workers).toContainEqual(expect.objectContaining({ worker, releasing: false }))
  const devices = readdirSync(world.cdiDir)
  for (const device of devices) {
    const worker = Number(/-(\d+)\.json$/.exec(device)?.[1])
    expect(workers).toContainEqual(expect.objectContaining({ worker, releasing: false }))
  }
  for (const { worker } of outputs) {
    expect(existsSync(world.stagingPath(job, worker))).toBe(false)
    if (acknowledged > 5) expect(readdirSync(world.outputPath(job, worker)).sort()).toEqual(FILES)
  }
}

function expectEverythingDone(): void {
  expect(readdirSync(`${world.runtimeDir}/jobs`)).toEqual([])
  expect(mountsBelow(`${world.runtimeDir}/jobs`)).toHaveLength(1)
  expect(readdirSync(world.cdiDir)).toEqual([])
  expect(readdirSync(`${world.dataDir}/outputs`)).toEqual([])
  expect(readdirSync(`${world.dataDir}/staging`).sort()).toEqual([
    `output.${job}.1`,
    `output.${job}.2`,
  ])
  for (const worker of [1, 2]) {
    const staged = world.stagingPath(job, worker)
    expect(readdirSync(staged).sort()).toEqual(FILES)
    expect(readFileSync(`${staged}/result`, 'utf8')).toBe(`of worker ${worker}`)
    for (const name of ['result', 'linked', 'linked again'])
      expect(statSync(`${staged}/${name}`)).toMatchObject({ uid: PEER.uid, gid: PEER.gid })
    expect(readFileSync(`${staged}/linked`, 'utf8')).toBe('shared with somebody')
    expect(statSync(`${staged}/linked`).ino).not.toBe(
      statSync(`${world.root}/foreign-${worker}`).ino,
    )
    expect(statSync(`${world.root}/foreign-${worker}`).uid).toBe(0)
  }
}

/** Copies of worker 1 and worker 2 go first, two each; then the discarded output of worker 3. */
const DISCARDING = [1, 5, 6]
const passagesOf = (point: string) => (point === 'mountd.entry-removed' ? DISCARDING : [1, 2])
const points = FAILPOINTS.filter((name) => name.startsWith('mountd.'))

test.each(points.flatMap((point) => passagesOf(point).map((nth) => [point, nth] as const)))(
  'killed at %s, passage %i, the next helper finds every operation done or not begun',
  async (point, nth) => {
    const steps = day()
    let acknowledged: number
    {
      await using dying = await startHelperProcess(world, `${point}:${nth}`)
      const client = await connect(world)
      acknowledged = await perform(client, steps)
      await client[Symbol.asyncDispose]()
      if (nth === 1) {
        expect(acknowledged).toBeLessThan(steps.length)
        expect(await dying.ended).toBe('SIGKILL')
      }
    }
    await using next = await startHelper(world)
    await expectNothingBetween(next.client, acknowledged)
    expect(await perform(next.client, steps.slice(acknowledged))).toBe(steps.length - acknowledged)
    await expect.poll(() => readdirSync(`${world.dataDir}/outputs`)).toEqual([])
    expectEverythingDone()
  },
)
