import { randomUUID } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { startHelper } from './support/helper.ts'
import { makeWorld, mountsBelow } from './support/world.ts'

const openDescriptors = () => readdirSync('/proc/self/fd').length

test('1,000 workers are mounted at once and released, and no descriptor is left open', async () => {
  using world = makeWorld()
  await using helper = await startHelper(world)
  const views = [
    { view: world.view('a'), directory: 'a' },
    { view: world.view('b'), directory: 'b' },
  ]
  const jobs = Array.from({ length: 1000 }, () => randomUUID())
  const before = openDescriptors()
  const mounted = await Promise.all(
    jobs.map((job, index) =>
      helper.client.mountWorker({
        job,
        worker: 1,
        views: index % 10 === 0 ? views : [{ view: world.view('a'), directory: '' }],
        ...(index % 4 === 0 ? { output: {} } : {}),
      }),
    ),
  )
  expect(openDescriptors()).toBe(before)
  expect(mountsBelow(`${world.runtimeDir}/jobs`)).toHaveLength(1 + 1000 + 200 + 250)
  expect(readFileSync(`${mounted[999]?.checkpointPath}/weights`, 'utf8')).toBe('a')
  const { workers } = await helper.client.list({})
  expect(workers).toHaveLength(1000)
  expect(workers.filter(({ output }) => output)).toHaveLength(250)
  const released = await Promise.all(
    jobs.map((job) => helper.client.releaseWorker({ job, worker: 1 })),
  )
  expect(released.every((answer) => answer.released)).toBe(true)
  expect(mountsBelow(`${world.runtimeDir}/jobs`)).toHaveLength(1)
  const kept = jobs.filter((_, index) => index % 4 === 0)
  await Promise.all(
    kept.map((job, index) =>
      index % 2 === 0
        ? helper.client.handOverOutput({ job, worker: 1 })
        : helper.client.discardOutput({ job, worker: 1 }),
    ),
  )
  expect(readdirSync(`${world.dataDir}/outputs`)).toEqual([])
  expect(readdirSync(`${world.dataDir}/staging`)).toHaveLength(125)
  expect(openDescriptors()).toBe(before)
})

test('failures leave no descriptor open either', async () => {
  using world = makeWorld()
  await using helper = await startHelper(world)
  const missing = `host/${'e'.repeat(64)}.1`
  const view = world.view('a')
  const fail = async (): Promise<void> => {
    const ref = { job: randomUUID(), worker: 1 }
    await Promise.allSettled([
      helper.client.mountWorker({ ...ref, views: [{ view: missing, directory: '' }], output: {} }),
      helper.client.mountWorker({
        ...ref,
        worker: 2,
        views: [
          { view, directory: 'a' },
          { view: missing, directory: 'b' },
        ],
      }),
      helper.client.handOverOutput(ref),
      helper.client.writeCdi(ref),
      helper.client.releaseWorker(ref),
    ])
  }
  await fail()
  const before = openDescriptors()
  for (let round = 0; round < 50; round++) await fail()
  expect(openDescriptors()).toBe(before)
  expect(readdirSync(`${world.runtimeDir}/jobs`)).toEqual([])
})
