import { randomUUID } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type RunningHelper, startHelper } from './support/helper.ts'
import { makeWorld, type World } from './support/world.ts'

let world: World
let helper: RunningHelper
beforeEach(async () => {
  world = makeWorld()
  helper = await startHelper(world)
})
afterEach(async () => {
  try {
    await helper[Symbol.asyncDispose]()
  } finally {
    world[Symbol.dispose]()
  }
})

async function mount(parts: { view?: boolean; output?: boolean }) {
  const ref = { job: randomUUID(), worker: 7 }
  await helper.client.mountWorker({
    ...ref,
    views: parts.view === true ? [{ view: world.view('a'), directory: '' }] : [],
    ...(parts.output === true ? { output: {} } : {}),
  })
  return ref
}

const fileOf = ({ job, worker }: { job: string; worker: number }) =>
  `${world.cdiDir}/ckptd-${job}-${worker}.json`

test('a device holds what is mounted for the worker, from a fixed template', async () => {
  const ref = await mount({ view: true, output: true })
  const name = `${ref.job}-7`
  expect(await helper.client.writeCdi(ref)).toEqual({ device: `ckptd.local/worker=${name}` })
  const jobs = `${world.runtimeDir}/jobs/${ref.job}/7`
  expect(JSON.parse(readFileSync(fileOf(ref), 'utf8'))).toEqual({
    cdiVersion: '0.5.0',
    kind: 'ckptd.local/worker',
    devices: [
      {
        name,
        containerEdits: {
          env: [
            'TRAINML_CHECKPOINT_PATH=/opt/trainml/checkpoint',
            'TRAINML_OUTPUT_PATH=/opt/trainml/output',
          ],
          mounts: [
            {
              hostPath: `${jobs}/checkpoint`,
              containerPath: '/opt/trainml/checkpoint',
              options: ['ro', 'rbind', 'nosuid', 'nodev'],
            },
            {
              hostPath: `${jobs}/output`,
              containerPath: '/opt/trainml/output',
              options: ['rw', 'rbind', 'nosuid', 'nodev'],
            },
          ],
        },
      },
    ],
  })
  expect(statSync(fileOf(ref))).toMatchObject({ uid: 0, gid: 0 })
  expect(statSync(fileOf(ref)).mode & 0o022).toBe(0)
  expect(readdirSync(world.cdiDir)).toHaveLength(1)
})

test.each([
  ['a checkpoint', { view: true }, 'TRAINML_CHECKPOINT_PATH=/opt/trainml/checkpoint'],
  ['an output', { output: true }, 'TRAINML_OUTPUT_PATH=/opt/trainml/output'],
])('a worker with only %s has a device with only that', async (_, parts, variable) => {
  const ref = await mount(parts)
  await helper.client.writeCdi(ref)
  const { devices } = JSON.parse(readFileSync(fileOf(ref), 'utf8')) as {
    devices: { containerEdits: { env: string[]; mounts: unknown[] } }[]
  }
  expect(devices[0]?.containerEdits.env).toEqual([variable])
  expect(devices[0]?.containerEdits.mounts).toHaveLength(1)
})

test('there is none for a worker that is not mounted', async () => {
  await expect(helper.client.writeCdi({ job: randomUUID(), worker: 1 })).rejects.toMatchObject({
    code: 'conflict',
  })
  expect(readdirSync(world.cdiDir)).toEqual([])
})

test('it goes when the worker is released, even where the mounts are still held', async () => {
  const ref = await mount({ view: true, output: true })
  await helper.client.writeCdi(ref)
  process.chdir(`${world.runtimeDir}/jobs/${ref.job}/7/output`)
  try {
    expect(await helper.client.releaseWorker(ref)).toMatchObject({ released: false })
  } finally {
    process.chdir('/')
  }
  expect(existsSync(fileOf(ref))).toBe(false)
})

test('at start those of workers not mounted go, half-written ones, and nothing of anybody else’s', async () => {
  const mounted = await mount({ view: true })
  await helper.client.writeCdi(mounted)
  await helper[Symbol.asyncDispose]()
  const text = readFileSync(fileOf(mounted), 'utf8')
  const stale = { job: randomUUID(), worker: 1 }
  const old = new Date(Date.now() - 3_600_000)
  const halfWritten = `${fileOf({ job: randomUUID(), worker: 2 })}.tmp`
  for (const file of [fileOf(stale), `${fileOf(mounted)}.tmp`]) writeFileSync(file, text)
  writeFileSync(halfWritten, text.slice(0, 40))
  utimesSync(halfWritten, old, old)
  const others = ['nvidia.json', 'ckptd-other.json', 'ckptd.yaml', `ckptd-${stale.job}-x.json`]
  for (const file of others) writeFileSync(`${world.cdiDir}/${file}`, '{}')
  mkdirSync(`${world.cdiDir}/sub`)
  helper = await startHelper(world)
  expect(readdirSync(world.cdiDir).sort()).toEqual(
    [...others, 'sub', fileOf(mounted).slice(world.cdiDir.length + 1)].sort(),
  )
})

test('a helper with a runtime directory of its own leaves the devices of others in place', async () => {
  const ref = await mount({ view: true, output: true })
  await helper.client.writeCdi(ref)
  const writing = `${fileOf({ job: randomUUID(), worker: 1 })}.tmp`
  writeFileSync(writing, '{ "cdiVersion": ')
  using second = makeWorld()
  const options = { ...second.options, cdiDir: world.cdiDir }
  await using _beside = await startHelper({ ...second, options })
  expect(existsSync(fileOf(ref))).toBe(true)
  expect(existsSync(writing)).toBe(true)
})
