import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { chmodSync, statSync } from 'node:fs'
import { connect as connectSocket, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { CkptdError } from '../../src/model/errors.ts'
import { connectMountd } from '../../src/mount/client.ts'
import { runMountd } from '../../src/mount/mountd.ts'
import { listenUnix } from '../../src/os/linux.ts'
import {
  connect,
  type RunningHelper,
  recordLog,
  socketPath,
  startHelper,
} from './support/helper.ts'
import { makeWorld, PEER, type World } from './support/world.ts'

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

/** Sends raw bytes as the only peer and answers everything that comes back until the end. */
async function say(...messages: string[]): Promise<string> {
  await helper.client[Symbol.asyncDispose]()
  const socket = connectSocket(socketPath(world))
  const answer = collect(socket)
  socket.write(messages.join(''))
  return answer
}

async function collect(socket: Socket): Promise<string> {
  let received = ''
  socket.on('data', (chunk: Buffer) => {
    received += chunk.toString()
  })
  socket.on('error', () => socket.destroy())
  await new Promise((resolve) => socket.once('close', resolve))
  return received
}

const HELLO = '{"id":0,"verb":"hello","params":{"protocol":1}}\n'

describe('who may connect', () => {
  test('the socket is the daemon user’s, with mode 0600', () => {
    const { uid, gid, mode } = statSync(socketPath(world))
    expect({ uid, gid, mode: mode & 0o777 }).toEqual({ ...PEER, mode: 0o600 })
  })

  test.each([
    [PEER.uid, '"protocol":1'],
    [23_456, 'is not the daemon'],
  ])('a peer of user %i is answered %s', async (uid, expected) => {
    await helper.client[Symbol.asyncDispose]()
    chmodSync(socketPath(world), 0o666)
    const script = `
      const socket = require('node:net').connect(process.argv[1])
      socket.on('data', (chunk) => { process.stdout.write(chunk); socket.end() })
      socket.on('error', () => {})
      socket.write(${JSON.stringify(HELLO)})`
    const child = spawn(
      'setpriv',
      [`--reuid=${uid}`, '--clear-groups', process.execPath, '-e', script, socketPath(world)],
      { stdio: ['ignore', 'pipe', 'inherit'], cwd: '/' },
    )
    expect(await text(child.stdout)).toContain(expected)
  })

  test('a second live peer is refused with a clear reason, and the first goes on', async () => {
    const second = connectMountd({ socketPath: socketPath(world), log: recordLog() })
    try {
      await expect
        .poll(() => second.availability())
        .toEqual({
          available: false,
          reason: 'another daemon is connected to the mount helper',
        })
      expect(helper.client.availability()).toEqual({ available: true })
      expect(await helper.client.list({})).toEqual({ workers: [], outputs: [] })
    } finally {
      await second[Symbol.asyncDispose]()
    }
  })

  test('a new peer replaces one that is gone', async () => {
    for (let round = 0; round < 5; round++) {
      await helper.client[Symbol.asyncDispose]()
      const next = await connect(world)
      expect(await next.list({})).toEqual({ workers: [], outputs: [] })
      await next[Symbol.asyncDispose]()
    }
  })
})

describe('what a peer may say', () => {
  test('another protocol version is answered with what to do', async () => {
    const answer = await say('{"id":7,"verb":"hello","params":{"protocol":2}}\n')
    expect(JSON.parse(answer)).toMatchObject({
      id: 7,
      error: {
        code: 'mounts_unavailable',
        message: expect.stringContaining('restart both after an upgrade') as string,
      },
    })
  })

  test('a verb before hello is refused', async () => {
    const answer = await say('{"id":1,"verb":"list","params":{}}\n')
    expect(JSON.parse(answer)).toMatchObject({ id: 1, error: { code: 'invalid_request' } })
  })

  test.each([
    ['no JSON', 'GET / HTTP/1.1\r\n\r\n'],
    ['JSON that is no object', '[1,2]\n'],
    ['an object that is no request', '{"verb":"list"}\n'],
    ['a request with a field too many', '{"id":1,"verb":"list","params":{},"as":"root"}\n'],
    ['bytes that are no text', `${'\u0000'.repeat(100)}\n`],
    ['nesting without end', `${'['.repeat(100_000)}\n`],
  ])('%s ends the connection, is logged, and the next peer is served', async (_, garbage) => {
    const answer = await say(HELLO, garbage, '{"id":2,"verb":"list","params":{}}\n')
    expect(answer.split('\n')).toHaveLength(2)
    expect(helper.log.messages).toContain('the peer sent something that is no request')
    const next = await connect(world)
    expect(await next.list({})).toEqual({ workers: [], outputs: [] })
    await next[Symbol.asyncDispose]()
  })

  test('a message without end is cut off at the limit', async () => {
    await say(HELLO, '{"id":1,"verb":"', 'x'.repeat(300 * 1024))
    expect(helper.log.messages.join()).toContain('longer than 262144 bytes')
  })

  test('a verb that nobody knows is an error, and the connection goes on', async () => {
    await helper.client[Symbol.asyncDispose]()
    const socket = connectSocket(socketPath(world))
    const answer = collect(socket)
    socket.write(
      `${HELLO}{"id":1,"verb":"toString","params":{}}\n{"id":2,"verb":"list","params":{}}\n`,
    )
    socket.end()
    const replies = (await answer).trim().split('\n')
    expect(replies.map((reply) => JSON.parse(reply) as object)).toMatchObject([
      { id: 0 },
      { id: 1, error: { code: 'invalid_request' } },
      { id: 2, answer: { workers: [] } },
    ])
  })

  test('ids come back with their answers, whatever the order', async () => {
    const jobs = Array.from({ length: 300 }, () => randomUUID())
    const view = world.view('a')
    const answers = await Promise.all(
      jobs.map((job) =>
        helper.client.mountWorker({ job, worker: 1, views: [{ view, directory: '' }] }),
      ),
    )
    for (const [index, { checkpointPath }] of answers.entries())
      expect(checkpointPath).toContain(jobs[index])
  })
})

describe('the client', () => {
  test('says why there are no mounts, and connects by itself when a helper starts', async () => {
    await helper[Symbol.asyncDispose]()
    const client = connectMountd({ socketPath: socketPath(world), log: recordLog() })
    try {
      await expect(client.list({})).rejects.toMatchObject({ code: 'mounts_unavailable' })
      await expect
        .poll(() => client.availability())
        .toMatchObject({ reason: expect.stringContaining('ENOENT') as string })
      const stop = new AbortController()
      const running = runMountd({ ...world.options, log: recordLog(), signal: stop.signal })
      await client.untilAvailable()
      expect(await client.list({})).toEqual({ workers: [], outputs: [] })
      stop.abort()
      await running
      await expect.poll(() => client.availability()).toMatchObject({ available: false })
      await expect(client.list({})).rejects.toMatchObject({ code: 'mounts_unavailable' })
    } finally {
      await client[Symbol.asyncDispose]()
    }
    helper = await startHelper(world)
  })

  test('fails what is under way when it is disposed', async () => {
    const listing = helper.client.list({})
    await helper.client[Symbol.asyncDispose]()
    await expect(listing).rejects.toMatchObject({ code: 'mounts_unavailable' })
    await expect(helper.client.untilAvailable()).rejects.toMatchObject({
      code: 'mounts_unavailable',
    })
  })

  test('refuses more than it can hold', async () => {
    const nobody = { job: randomUUID(), worker: 1 }
    const asked = Array.from({ length: 5000 }, () => helper.client.writeCdi(nobody))
    const codes = (await Promise.allSettled(asked)).map((result) =>
      result.status === 'rejected' ? (result.reason as CkptdError).code : undefined,
    )
    expect(codes.filter((code) => code === 'conflict')).toHaveLength(4096 + 64)
    expect(codes.filter((code) => code === 'unavailable')).toHaveLength(5000 - 4096 - 64)
  })
})

describe('the helper', () => {
  test('listens on a socket that was handed over and leaves it in place', async () => {
    await helper[Symbol.asyncDispose]()
    const path = `${world.root}/handed-over.sock`
    const stop = new AbortController()
    const running = runMountd({
      ...world.options,
      socket: { fd: listenUnix(path, 4) },
      log: recordLog(),
      signal: stop.signal,
    })
    const client = connectMountd({ socketPath: path, log: recordLog() })
    await client.untilAvailable()
    expect(await client.list({})).toEqual({ workers: [], outputs: [] })
    await client[Symbol.asyncDispose]()
    stop.abort()
    await running
    expect(statSync(path).isSocket()).toBe(true)
    helper = await startHelper(world)
  })

  test('does not start beside another one', async () => {
    const second = runMountd({
      ...world.options,
      log: recordLog(),
      signal: AbortSignal.timeout(10_000),
    })
    await expect(second).rejects.toMatchObject({ code: 'runtime_locked' })
    expect(await helper.client.list({})).toEqual({ workers: [], outputs: [] })
  })
})
