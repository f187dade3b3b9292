import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, existsSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type RunningHelper, startHelper } from './support/helper.ts'
import { makeWorld, mountsBelow, type World } from './support/world.ts'

let world: World
let helper: RunningHelper
const children: ChildProcess[] = []
beforeEach(async () => {
  world = makeWorld()
  helper = await startHelper(world)
})
afterEach(async () => {
  try {
    for (const child of children.splice(0)) await end(child)
    await helper[Symbol.asyncDispose]()
  } finally {
    world[Symbol.dispose]()
  }
})

/** Runs a shell script that prints a line when it stands where it should. */
async function start(command: string, args: string[]): Promise<ChildProcess> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'] })
  children.push(child)
  await once(child.stdout, 'data')
  return child
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}

async function mount(views = [{ view: world.view('a'), directory: '' }], output = {}) {
  const ref = { job: randomUUID(), worker: 1 }
  const paths = await helper.client.mountWorker({ ...ref, views, output })
  return { ref, checkpoint: paths.checkpointPath ?? '', output: paths.outputPath ?? '' }
}

function expectNothingLeft(): void {
  expect(mountsBelow(`${world.runtimeDir}/jobs`)).toHaveLength(1)
  expect(readdirSync(`${world.runtimeDir}/jobs`)).toEqual([])
}

test('unmounts, removes the directories, and leaves the view and the output whole', async () => {
  const view = world.view('a')
  const { ref } = await mount([{ view, directory: '' }])
  expect(await helper.client.releaseWorker(ref)).toEqual({ released: true })
  expectNothingLeft()
  expect(readFileSync(`${world.viewPath(view)}/weights`, 'utf8')).toBe('a')
  expect(existsSync(world.outputPath(ref.job))).toBe(true)
})

test('of a worker that is not mounted, or was never heard of, is done', async () => {
  const { ref } = await mount()
  await helper.client.releaseWorker(ref)
  expect(await helper.client.releaseWorker(ref)).toEqual({ released: true })
  expect(await helper.client.releaseWorker({ job: randomUUID(), worker: 9 })).toEqual({
    released: true,
  })
})

test('of one worker leaves the others of its job mounted', async () => {
  const job = randomUUID()
  const views = [{ view: world.view('a'), directory: 'a' }]
  const [first, second] = await Promise.all(
    [1, 2].map((worker) => helper.client.mountWorker({ job, worker, views })),
  )
  await helper.client.releaseWorker({ job, worker: 1 })
  expect(existsSync(first?.checkpointPath ?? '')).toBe(false)
  expect(readFileSync(`${second?.checkpointPath}/a/weights`, 'utf8')).toBe('a')
})

describe('while a process holds the mount', () => {
  test.each([
    ['stands in the checkpoint', (paths: Paths) => `cd "${paths.checkpoint}"`],
    ['has a file of it open', (paths: Paths) => `exec 9<"${paths.checkpoint}/weights"`],
    ['stands in the output', (paths: Paths) => `cd "${paths.output}"`],
    ['writes into the output', (paths: Paths) => `exec 9>"${paths.output}/log"`],
  ])('that %s, it is named; when it ended, the release finishes', async (_, hold) => {
    const paths = await mount()
    const child = await start('sh', ['-c', `${hold(paths)}; echo; exec sleep 1000`])
    const answer = await helper.client.releaseWorker(paths.ref)
    expect(answer).toMatchObject({ released: false })
    expect(answer.holders?.map(({ pid }) => pid)).toContain(child.pid)
    expect(answer.holders?.[0]?.path).toContain(`/jobs/${paths.ref.job}/1/`)
    expect(answer.holders?.[0]?.command).toMatch(/^(sh|sleep)$/)
    expect((await helper.client.list({})).workers).toMatchObject([
      { ...paths.ref, releasing: true },
    ])
    await end(child)
    expect(await helper.client.releaseWorker(paths.ref)).toEqual({ released: true })
    expectNothingLeft()
  })

  test('by a mapping alone, it is named', async () => {
    const paths = await mount([
      { view: world.view('a', { program: readFileSync('/bin/sleep', 'latin1') }), directory: '' },
    ])
    const script = `
import mmap, os, sys, time
fd = os.open(sys.argv[1], os.O_RDONLY)
held = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
os.close(fd)
print(flush=True)
time.sleep(1000)`
    const child = await start('python3', ['-c', script, `${paths.checkpoint}/program`])
    expect(await helper.client.releaseWorker(paths.ref)).toMatchObject({
      released: false,
      holders: [{ pid: child.pid, path: `${paths.checkpoint}/program` }],
    })
  })

  test('anybody who stands too deep for a path to be told is passed over', async () => {
    const paths = await mount()
    const script = `
import os, sys, time
os.chdir(sys.argv[1])
for _ in range(30):
    os.mkdir('d' * 200)
    os.chdir('d' * 200)
held = os.open('.', os.O_RDONLY)
print(flush=True)
time.sleep(1000)`
    const child = await start('python3', ['-c', script, world.root])
    try {
      const fd = openSync(paths.output, 'r')
      try {
        expect(await helper.client.releaseWorker(paths.ref)).toMatchObject({
          holders: [{ pid: process.pid, path: paths.output }],
        })
      } finally {
        closeSync(fd)
      }
      expect(await helper.client.releaseWorker(paths.ref)).toEqual({ released: true })
    } finally {
      await end(child)
      spawnSync('rm', ['-r', `${world.root}/${'d'.repeat(200)}`])
    }
  })

  test('inside one of several checkpoints, the rest is finished later', async () => {
    const paths = await mount([
      { view: world.view('a'), directory: 'first' },
      { view: world.view('b'), directory: 'second' },
    ])
    const fd = openSync(`${paths.checkpoint}/second/weights`, 'r')
    try {
      expect(await helper.client.releaseWorker(paths.ref)).toMatchObject({
        released: false,
        holders: [{ pid: process.pid, path: `${paths.checkpoint}/second/weights` }],
      })
    } finally {
      closeSync(fd)
    }
    expect(await helper.client.releaseWorker(paths.ref)).toEqual({ released: true })
    expectNothingLeft()
  })

  test('nothing can be mounted for the worker', async () => {
    const views = [{ view: world.view('a'), directory: '' }]
    const paths = await mount(views)
    const fd = openSync(`${paths.checkpoint}/weights`, 'r')
    try {
      await helper.client.releaseWorker(paths.ref)
      await expect(
        helper.client.mountWorker({ ...paths.ref, views, output: {} }),
      ).rejects.toMatchObject({ code: 'mount_busy' })
    } finally {
      closeSync(fd)
    }
  })
})

interface Paths {
  readonly checkpoint: string
  readonly output: string
}

describe('while another mount namespace has a copy', () => {
  test.each([
    ['of one checkpoint', [{ letter: 'a', directory: '' }]],
    [
      'of several',
      [
        { letter: 'a', directory: 'a' },
        { letter: 'b', directory: 'b' },
      ],
    ],
  ])('%s, its process is named and its copy stays whole, until it ends', async (_, parts) => {
    const paths = await mount(
      parts.map(({ letter, directory }) => ({ view: world.view(letter), directory })),
    )
    const child = await start('unshare', ['--mount', 'sh', '-c', 'echo; exec sleep 1000'])
    const inside = `/proc/${child.pid}/root${paths.checkpoint}/${parts[0]?.directory}/weights`
    for (let attempt = 0; attempt < 2; attempt++) {
      const answer = await helper.client.releaseWorker(paths.ref)
      expect(answer.released).toBe(false)
      expect(answer.holders?.map(({ pid }) => pid)).toEqual([child.pid])
      expect(answer.holders?.[0]?.command).toMatch(/^(sh|sleep)$/)
      expect(readFileSync(inside, 'utf8')).toBe('a')
    }
    expect(mountsBelow(`${world.runtimeDir}/jobs`)).toHaveLength(1)
    await end(child)
    expect(await helper.client.releaseWorker(paths.ref)).toEqual({ released: true })
    expectNothingLeft()
  })

  test('bound elsewhere, as a container has it, or only a directory of it', async () => {
    const paths = await mount([{ view: world.view('a', { 'deep/weights': 'a' }), directory: '' }])
    const script = `mount -t tmpfs none /mnt && mkdir /mnt/at && mount --bind "${paths.checkpoint}/deep" /mnt/at && umount "${paths.checkpoint}" "${paths.output}" && echo && exec sleep 1000`
    const child = await start('unshare', ['--mount', 'sh', '-c', script])
    expect(await helper.client.releaseWorker(paths.ref)).toMatchObject({
      released: false,
      holders: [{ pid: child.pid, path: '/mnt/at' }],
    })
    await end(child)
    expect(await helper.client.releaseWorker(paths.ref)).toEqual({ released: true })
  })

  test('that follows this one, the unmount reaches it and nobody is in the way', async () => {
    const paths = await mount()
    await start('unshare', [
      '--mount',
      '--propagation',
      'slave',
      'sh',
      '-c',
      'echo; exec sleep 1000',
    ])
    expect(await helper.client.releaseWorker(paths.ref)).toEqual({ released: true })
    expectNothingLeft()
  })

  test('the helper may be restarted in between and still knows', async () => {
    const paths = await mount()
    const child = await start('unshare', ['--mount', 'sh', '-c', 'echo; exec sleep 1000'])
    expect(await helper.client.releaseWorker(paths.ref)).toMatchObject({ released: false })
    await helper[Symbol.asyncDispose]()
    helper = await startHelper(world)
    expect((await helper.client.list({})).workers).toMatchObject([
      { ...paths.ref, views: [{ directory: '' }], output: true, releasing: true },
    ])
    expect(await helper.client.releaseWorker(paths.ref)).toMatchObject({
      released: false,
      holders: [{ pid: child.pid }],
    })
    await end(child)
    expect(await helper.client.releaseWorker(paths.ref)).toEqual({ released: true })
  })

  test('of a view that another worker has mounted, only the last release waits', async () => {
    const view = world.view('a')
    const first = await mount([{ view, directory: '' }])
    const script = `mount -t tmpfs none /mnt && mkdir /mnt/at && mount --bind "${first.checkpoint}" /mnt/at && umount "${first.checkpoint}" "${first.output}" && echo && exec sleep 1000`
    const child = await start('unshare', ['--mount', 'sh', '-c', script])
    const second = await mount([{ view, directory: '' }])
    expect(await helper.client.releaseWorker(first.ref)).toEqual({ released: true })
    expect(await helper.client.releaseWorker(second.ref)).toMatchObject({
      released: false,
      holders: [{ pid: child.pid, path: '/mnt/at' }],
    })
    await end(child)
    expect(await helper.client.releaseWorker(second.ref)).toEqual({ released: true })
  })
})

test('names a bind in the host’s own table, too', async () => {
  const paths = await mount()
  const bound = `${world.root}/bound`
  expect(spawnSync('mkdir', [bound]).status).toBe(0)
  expect(spawnSync('mount', ['--bind', paths.checkpoint, bound]).status).toBe(0)
  expect(await helper.client.releaseWorker(paths.ref)).toEqual({
    released: false,
    holders: [{ pid: 0, command: 'mount', path: bound }],
  })
  expect(spawnSync('umount', [bound]).status).toBe(0)
  expect(await helper.client.releaseWorker(paths.ref)).toEqual({ released: true })
})

test('a clean stop leaves mounts of running workers alone, and takes the place away with the last', async () => {
  const paths = await mount()
  await helper[Symbol.asyncDispose]()
  expect(readFileSync(`${paths.checkpoint}/weights`, 'utf8')).toBe('a')
  helper = await startHelper(world)
  const before = mountsBelow(world.runtimeDir)
  expect((await helper.client.list({})).workers).toEqual([
    {
      ...paths.ref,
      views: [{ view: world.view('a'), directory: '' }],
      output: true,
      releasing: false,
    },
  ])
  expect(mountsBelow(world.runtimeDir)).toEqual(before)
  expect(await helper.client.releaseWorker(paths.ref)).toEqual({ released: true })
  await helper[Symbol.asyncDispose]()
  expect(mountsBelow(world.runtimeDir)).toEqual([])
  expect(readdirSync(world.runtimeDir)).toEqual(['mountd.lock'])
  helper = await startHelper(world)
})
