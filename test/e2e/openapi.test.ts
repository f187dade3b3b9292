import { Validator } from '@seriousme/openapi-schema-validator'
import type { TSchema } from 'typebox'
import { Value } from 'typebox/value'
import { Client } from 'undici'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Checkpoint } from '../../src/agent-protocol/checkpoint.ts'
import { startDaemon, type TestDaemon } from '../support/daemon.ts'
import { startWebServer, type WebServer } from '../support/web-server.ts'

interface Media {
  readonly schema: TSchema
}
interface Operation {
  readonly summary?: string
  readonly requestBody?: { readonly required: boolean }
  readonly responses: Readonly<
    Record<string, { readonly content: Readonly<Record<string, Media>> }>
  >
}
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
}

let daemon: TestDaemon
let web: WebServer
let client: Client
let document: Document & Record<string, unknown>

beforeAll(async () => {
  web = await startWebServer({ '/a.bin': 'a' })
  daemon = await startDaemon()
  client = new Client('http://localhost', { socketPath: daemon.socket })
  document = await daemon.ok('GET', '/openapi.json')
})
afterAll(async () => {
  await client?.destroy()
  await daemon?.[Symbol.asyncDispose]()
  await web?.[Symbol.asyncDispose]()
})

/** The document with every reference replaced by what it refers to. */
function resolved(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(resolved)
  if (typeof node !== 'object' || node === null) return node
  const { $ref } = node as { $ref?: unknown }
  if (typeof $ref === 'string') {
    const target = $ref
      .slice('#/'.length)
      .split('/')
      .reduce<unknown>((at, part) => (at as Record<string, unknown>)[part], document)
    return resolved(target)
  }
  return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, resolved(value)]))
}

/** Asks, and holds the answer (each line of a stream) against the document; returns the last. */
async function ask<T>(
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
  route: string,
  address: string,
  wanted: { status: number; body?: unknown; accept?: string },
): Promise<T> {
  const answer = await client.request({
    method,
    path: address,
    headers: {
      accept: wanted.accept ?? 'application/json',
      ...(wanted.body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    body: wanted.body === undefined ? null : JSON.stringify(wanted.body),
  })
  const text = await answer.body.text()
  expect(answer.statusCode, text).toBe(wanted.status)
  const responses = document.paths[route]?.[method.toLowerCase()]?.responses
  const response =
    responses?.[String(wanted.status)] ?? responses?.[`${String(wanted.status).slice(0, 1)}XX`]
  const type = String(answer.headers['content-type'])
  const schema = resolved(response?.content[type]?.schema) as TSchema | undefined
  if (schema === undefined) throw new Error(`${method} ${route}: no schema of ${type}`)
  const values = type === 'application/x-ndjson' ? text.trim().split('\n') : [text]
  for (const value of values)
    expect([...Value.Errors(schema, JSON.parse(value))], `${method} ${route}: ${value}`).toEqual([])
  return JSON.parse(values.at(-1) ?? '') as T
}

describe('/openapi.json', () => {
  it('is a valid document', async () => {
    const { valid, errors } = await new Validator().validate(structuredClone(document))
    expect(errors).toBeUndefined()
    expect(valid).toBe(true)
    expect(document).toMatchObject({ openapi: '3.0.3' })
  })

  it('says of every route what it is for and how it fails', () => {
    for (const [path, operations] of Object.entries(document.paths))
      for (const [method, { summary, responses }] of Object.entries(operations)) {
        expect(summary, `${method} ${path}`).toBeTruthy()
        expect(Object.keys(responses), `${method} ${path}`).toEqual(
          expect.arrayContaining(['200', '4XX', '5XX']),
        )
      }
    const mount = document.paths['/v1/jobs/{reference}/workers/{worker}/mount']?.['post']
    expect(mount?.requestBody?.required).toBe(false)
    expect(document.paths['/v1/jobs']?.['post']?.requestBody?.required).toBe(true)
  })

  it('describes what the routes really answer', async () => {
    const one = '/checkpoint/{reference}'
    const { promise, resolve } = Promise.withResolvers<void>()
    web.hold = promise
    const body = { name: 'a', source_type: 'web', source_uri: `${web.address}/a.bin` }
    await ask<Checkpoint>('POST', '/checkpoint', '/checkpoint', { status: 200, body })
    await ask('POST', '/checkpoint', '/checkpoint', { status: 400, body: {} })
    await ask('GET', '/checkpoint', '/checkpoint', { status: 200 })
    await ask('GET', '/checkpoint/public', '/checkpoint/public', { status: 200 })
    await ask('GET', one, '/checkpoint/a', { status: 200 })
    await ask('GET', one, '/checkpoint/absent', { status: 404 })
    await ask('GET', `${one}/details`, '/checkpoint/a/details', { status: 409 })

    const jobBody = {
      name: 'j',
      model: { checkpoints: ['a'] },
      data: { output_type: 'trainml', output_uri: 'checkpoint' },
    }
    await ask('POST', '/v1/jobs', '/v1/jobs', { status: 200, body: jobBody })
    const job = '/v1/jobs/{reference}'
    const mount = `${job}/workers/{worker}/mount`
    await ask('POST', mount, '/v1/jobs/j/workers/1/mount', { status: 202 })
    await ask('POST', mount, '/v1/jobs/j/workers/2/mount', { status: 404 })
    resolve()
    web.hold = undefined

    const events = '/v1/checkpoints/{reference}/events'
    await ask('GET', events, '/v1/checkpoints/a/events', { status: 200 })
    await ask('GET', `${one}/logs`, '/checkpoint/a/logs', { status: 200 })
    await ask('GET', `${one}/details`, '/checkpoint/a/details', { status: 200 })
    const accept = 'application/x-ndjson'
    await ask('POST', mount, '/v1/jobs/j/workers/1/mount', { status: 200, accept })
    await ask('POST', mount, '/v1/jobs/j/workers/1/mount?wait=60', { status: 200 })
    await ask('GET', '/v1/jobs', '/v1/jobs', { status: 200 })
    await ask('GET', job, '/v1/jobs/j', { status: 200 })
    await ask('GET', '/v1/mounts', '/v1/mounts', { status: 200 })
    await ask('GET', '/v1/df', '/v1/df', { status: 200 })
    await ask('GET', '/v1/status', '/v1/status', { status: 200 })
    const verify = '/v1/checkpoints/{reference}/verify'
    await ask('POST', verify, '/v1/checkpoints/a/verify', { status: 200 })
    await ask('POST', '/v1/verify', '/v1/verify', { status: 200 })
    await ask('DELETE', one, '/checkpoint/a', { status: 409 })
    const finish = `${job}/workers/{worker}/finish`
    await ask('POST', finish, '/v1/jobs/j/workers/1/finish?wait=60', { status: 200 })
    await ask('POST', `${job}/finish`, '/v1/jobs/j/finish?wait=60', { status: 200 })
    await ask('PATCH', one, '/checkpoint/a', { status: 200, body: { name: 'b' } })
    await ask('DELETE', one, '/checkpoint/b', { status: 200 })
  })
})
