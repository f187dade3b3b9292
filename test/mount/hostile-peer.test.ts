import { spawn, spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import {
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { MountWorkerParams } from '../../src/mount/protocol.ts'
import { type RunningHelper, startHelper } from './support/helper.ts'
import { makePeerDirectory, makeWorld, mountsBelow, type World } from './support/world.ts'

let world: World
let helper: RunningHelper
const VIEW = `host/${'a'.repeat(64)}.1`
beforeEach(async () => {
  world = makeWorld()
  world.view('a')
  helper = await startHelper(world)
})
afterEach(async () => {
  try {
    await helper[Symbol.asyncDispose]()
  } finally {
    world[Symbol.dispose]()
  }
})

function request(changes: Partial<MountWorkerParams> = {}): MountWorkerParams {
  return { job: randomUUID(), worker: 1, views: [{ view: VIEW, directory: '' }], ...changes }
}

async function expectRefusal(params: MountWorkerParams, code: string | RegExp): Promise<void> {
  await expect(helper.client.mountWorker(params)).rejects.toMatchObject({
    code: expect.stringMatching(code) as string,
  })
  expect(readdirSync(`${world.runtimeDir}/jobs`)).toEqual([])
  expect(mountsBelow(`${world.runtimeDir}/jobs`)).toHaveLength(1)
}

describe('what is asked for', () => {
  const uuid = '0b0e0b0e-1111-4222-8333-444455556666'
  test.each([
    ['a job that climbs', { job: '../../../../../../etc' }],
    ['a job that begins with an id', { job: `${uuid}/../..` }],
    ['a job in capitals', { job: uuid.toUpperCase() }],
    ['an empty job', { job: '' }],
    ['worker 0', { worker: 0 }],
    ['a negative worker', { worker: -1 }],
    ['a fraction of a worker', { worker: 1.5 }],
    ['worker 1025', { worker: 1025 }],
    ['a worker that is text', { worker: '1' as unknown as number }],
    ['a view that climbs', { views: [{ view: `../${VIEW}`, directory: '' }] }],
    ['an absolute view', { views: [{ view: '/etc', directory: '' }] }],
    [
      'a view in a climbing domain',
      { views: [{ view: VIEW.replace('host', '..'), directory: '' }] },
    ],
    ['a view with a line feed', { views: [{ view: `${VIEW}\n`, directory: '' }] }],
    ['a view of no generation', { views: [{ view: VIEW.slice(0, -2), directory: '' }] }],
    [
      'a project’s view without its prefix',
      { views: [{ view: VIEW.replace('host', 'p'), directory: '' }] },
    ],
    ['a directory that climbs', { views: [{ view: VIEW, directory: '..' }] }],
    ['a directory that stays', { views: [{ view: VIEW, directory: '.' }] }],
    ['a directory of two components', { views: [{ view: VIEW, directory: 'a/b' }] }],
    ['a directory with a NUL', { views: [{ view: VIEW, directory: 'a\0b' }] }],
    ['a directory with a line feed', { views: [{ view: VIEW, directory: 'a\nb' }] }],
    ['a directory of half a character', { views: [{ view: VIEW, directory: '\ud800' }] }],
    ['a directory of 256 bytes', { views: [{ view: VIEW, directory: 'ö'.repeat(128) }] }],
    [
      'two views, one without a directory',
      {
        views: [
          { view: VIEW, directory: '' },
          { view: VIEW, directory: 'b' },
        ],
      },
    ],
    [
      'two views in one directory',
      {
        views: [
          { view: VIEW, directory: 'b' },
          { view: VIEW, directory: 'b' },
        ],
      },
    ],
    [
      '65 views',
      { views: Array.from({ length: 65 }, (_, n) => ({ view: VIEW, directory: `${n}` })) },
    ],
    ['nothing at all', { views: [] }],
    ['an owner that is "leave it"', { output: { owner: { uid: 2 ** 32 - 1, gid: 0 } } }],
    ['a negative owner', { output: { owner: { uid: -1, gid: 0 } } }],
    ['a field nobody knows', { path: '/etc' } as Partial<MountWorkerParams>],
  ] satisfies [string, Partial<MountWorkerParams>][])('%s is refused', async (_, changes) => {
    await expectRefusal(request(changes), 'invalid_request')
    expect(existsSync(`${world.dataDir}/outputs`)).toBe(false)
  })

  test('ids are checked by every other verb, too', async () => {
    const bad = { job: '../../x', worker: 1 }
    const { client } = helper
    for (const asked of [
      client.releaseWorker(bad),
      client.writeCdi(bad),
      client.handOverOutput(bad),
      client.discardOutput(bad),
    ])
      await expect(asked).rejects.toMatchObject({ code: 'invalid_request' })
  })
})

describe('what lies below the data directory', () => {
  test('a view that has become a link to / is refused', async () => {
    rmSync(world.viewPath(VIEW), { recursive: true })
    symlinkSync('/', world.viewPath(VIEW))
    await expectRefusal(request(), 'mount_failed')
  })

  test('views/ that has become a link to / is refused, though the path exists there', async () => {
    const elsewhere = `${world.root}/elsewhere`
    makePeerDirectory(`${elsewhere}/${VIEW}`)
    renameSync(`${world.dataDir}/views`, `${world.dataDir}/views.old`)
    symlinkSync('../elsewhere', `${world.dataDir}/views`)
    await expectRefusal(request(), 'mount_failed')
  })

  test('a link in the middle is refused even where it leads back inside', async () => {
    renameSync(`${world.dataDir}/views/host`, `${world.dataDir}/views/real`)
    symlinkSync('real', `${world.dataDir}/views/host`)
    await expectRefusal(request(), 'mount_failed')
  })

  test('a view that is a file is refused', async () => {
    rmSync(world.viewPath(VIEW), { recursive: true })
    writeFileSync(world.viewPath(VIEW), '')
    await expectRefusal(request(), 'mount_failed')
  })

  test('a view that belongs to somebody else is refused', async () => {
    chownSync(world.viewPath(VIEW), 0, 0)
    await expectRefusal(request(), 'mount_failed')
  })

  test('a view below another mount is refused', async () => {
    expect(spawnSync('mount', ['--bind', '/etc', world.viewPath(VIEW)]).status).toBe(0)
    await expectRefusal(request(), 'mount_failed')
  })

  test('a data directory of somebody else’s is refused', async () => {
    chownSync(world.dataDir, 12_345, 12_345)
    await expectRefusal(request(), 'mount_failed')
  })

  test.each(['a link to /', 'a directory of the peer’s', 'a directory others may write'])(
    'outputs/ that is %s is refused, and nothing is made in it',
    async (what) => {
      const outputs = `${world.dataDir}/outputs`
      if (what === 'a link to /') symlinkSync(`${world.root}/target`, outputs)
      else if (what === 'a directory of the peer’s') makePeerDirectory(outputs)
      else mkdirSync(outputs, { mode: 0o755 })
      if (what === 'a link to /') mkdirSync(`${world.root}/target`)
      await expectRefusal(request({ output: {} }), 'mount_failed')
      expect(readdirSync(outputs)).toEqual([])
    },
  )

  test('staging/ that has become a link gets no output, and the output stays', async () => {
    const { job, worker } = request()
    await helper.client.mountWorker(request({ job, output: {} }))
    writeFileSync(`${world.outputPath(job)}/result`, 'x')
    rmSync(`${world.dataDir}/staging`, { recursive: true })
    mkdirSync(`${world.root}/target`)
    symlinkSync(`${world.root}/target`, `${world.dataDir}/staging`)
    await expect(helper.client.handOverOutput({ job, worker })).rejects.toMatchObject({
      code: 'mount_failed',
    })
    expect(readdirSync(`${world.root}/target`)).toEqual([])
    expect(statSync(`${world.outputPath(job)}/result`).uid).toBe(0)
  })

  test('something of the peer’s at the place of the hand-over is not replaced', async () => {
    const { job, worker } = request()
    await helper.client.mountWorker(request({ job, output: {} }))
    symlinkSync('/etc', world.stagingPath(job))
    await expect(helper.client.handOverOutput({ job, worker })).rejects.toMatchObject({
      code: 'conflict',
    })
    expect(lstatSync(world.stagingPath(job)).isSymbolicLink()).toBe(true)
    expect(statSync('/etc').uid).toBe(0)
  })

  test('components that change places all the time never lead outside', async () => {
    const elsewhere = `${world.root}/elsewhere`
    makePeerDirectory(`${elsewhere}/${VIEW}`)
    const inside = statSync(world.viewPath(VIEW)).ino
    // The two have each other's name in turn, with no moment in which there is neither.
    const script = `
import ctypes, os
libc = ctypes.CDLL(None)
os.symlink('../elsewhere', 'data/link')
print(flush=True)
while True: libc.renameat2(-100, b'data/views', -100, b'data/link', 2)`
    const child = spawn('python3', ['-c', script], {
      cwd: world.root,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const seen = { mounted: 0, refused: 0 }
    try {
      await once(child.stdout, 'data')
      for (let round = 0; round < 2000 && (seen.mounted < 50 || seen.refused < 50); round++) {
        const asked = request()
        const answer = await helper.client.mountWorker(asked).catch(() => undefined)
        seen[answer === undefined ? 'refused' : 'mounted'] += 1
        if (answer?.checkpointPath === undefined) continue
        expect(statSync(answer.checkpointPath).ino).toBe(inside)
        await helper.client.releaseWorker({ job: asked.job, worker: 1 })
      }
    } finally {
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
    }
    expect(seen.mounted).toBeGreaterThan(0)
    expect(seen.refused).toBeGreaterThan(0)
  })
})
