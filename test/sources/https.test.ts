import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeScratch, type Scratch } from '../support/scratch.ts'
import { startFaultServer } from './support/fault-server.ts'
import { bytesOf, MiB, sha256 } from './support/stage.ts'

let scratch: Scratch
let tls: { key: string; cert: string }
const large = bytesOf(30 * MiB + 1)

beforeAll(() => {
  scratch = makeScratch('https')
  writeFileSync(
    scratch.join('openssl.cnf'),
    '[req]\ndistinguished_name=n\nx509_extensions=v\nprompt=no\n[n]\nCN=localhost\n[v]\nsubjectAltName=DNS:localhost,IP:127.0.0.1\n',
  )
  const [key, cert] = [scratch.join('key.pem'), scratch.join('cert.pem')]
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '2',
      '-config',
      scratch.join('openssl.cnf'),
      '-keyout',
      key,
      '-out',
      cert,
    ],
    { stdio: 'ignore' },
  )
  tls = { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') }
})
afterAll(() => scratch[Symbol.asyncDispose]())

/** In a process of its own, since trusted certificates are read when one starts. */
async function transfer(name: string, uri: string, trusting = true) {
  const child = spawn(
    process.execPath,
    [new URL('./support/transfer-child.ts', import.meta.url).pathname, scratch.join(name), uri],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        ...(trusting ? { NODE_EXTRA_CA_CERTS: scratch.join('cert.pem') } : {}),
      },
    },
  )
  const [output, errors] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit'),
  ])
  expect(errors).toBe('')
  return JSON.parse(output) as { tree: unknown; error?: { message: string } }
}

test('a large file comes in parts over TLS, by address and by name', async () => {
  await using server = await startFaultServer((_, { serve }) => serve(large), { tls })
  for (const host of ['127.0.0.1', 'localhost']) {
    const { tree } = await transfer(host, `https://${host}:${server.port}/file.bin`)
    expect(tree).toEqual({ 'file.bin': sha256(large) })
  }
  expect(server.connections).toBeGreaterThan(6)
  expect(server.sentBytes).toBe(2 * (large.length + 1))
})

test('a certificate that nobody vouches for is refused', async () => {
  await using server = await startFaultServer((_, { serve }) => serve(large), { tls })
  const { error } = await transfer('untrusted', `https://127.0.0.1:${server.port}/f`, false)
  expect(error?.message).toMatch(/certificate is refused \(DEPTH_ZERO_SELF_SIGNED_CERT\)/)
})

test('https is not left for http', async () => {
  await using plain = await startFaultServer((_, { serve }) => serve(large))
  await using server = await startFaultServer(
    (_, { response }) => void response.writeHead(302, { location: `${plain.origin}/f` }).end(),
    { tls },
  )
  const { error } = await transfer('downgrade', `https://127.0.0.1:${server.port}/f`)
  expect(error?.message).toContain('from https to http')
  expect(plain.requests).toHaveLength(0)
})
