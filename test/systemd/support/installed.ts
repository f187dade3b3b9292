import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { makeScratch } from '../../support/scratch.ts'
import { type Api, openApi } from './api.ts'
import { bootMachine, type Machine } from './machine.ts'
import { install, makeRoot } from './root.ts'

/** A machine on which ckptd is installed and runs, and something for it to fetch. */
export interface Installed extends AsyncDisposable {
  readonly machine: Machine
  readonly api: Api
  /** An archive on a web server; in it model.bin, which holds `bytes`. */
  readonly archive: { readonly uri: string; readonly bytes: Buffer }
}

/** Step for step what docs/operations.md says. */
const INSTALLATION = `
systemd-sysusers
systemd-tmpfiles --create
systemctl daemon-reload
systemctl enable --now ckptd.socket ckptd-mountd.service ckptd.service
`

export async function installedMachine(): Promise<Installed> {
  await using stack = new AsyncDisposableStack()
  const scratch = stack.use(makeScratch('systemd'))
  const root = makeRoot(scratch)
  install(root)
  mkdirSync(join(root, 'etc/ckptd'))
  writeFileSync(join(root, 'etc/ckptd/config.toml'), 'allow_network = ["127.0.0.0/8"]\n')
  // A real disk: what the rest of the root is on has no place for a store.
  mkdirSync(scratch.join('store'))
  const binds = { [scratch.join('store')]: '/var/lib/ckptd' }
  const machine = stack.use(await bootMachine(scratch, root, binds))
  try {
    await machine.run('sh', '-ec', INSTALLATION)
  } catch (cause) {
    const log = await machine.run('journalctl', '--no-pager', '-u', 'ckptd', '-u', 'ckptd-mountd')
    throw new Error(log, { cause })
  }
  const api = stack.use(openApi(machine.path('/run/ckptd/ckptd.sock')))
  const archive = await serveArchive(scratch.path, stack)
  const rest = stack.move()
  return { machine, api, archive, [Symbol.asyncDispose]: () => rest.disposeAsync() }
}

async function serveArchive(
  directory: string,
  stack: AsyncDisposableStack,
): Promise<Installed['archive']> {
  const bytes = randomBytes(3_000_000)
  writeFileSync(join(directory, 'model.bin'), bytes)
  execFileSync('tar', ['-C', directory, '-czf', join(directory, 'model.tar.gz'), 'model.bin'])
  const packed = readFileSync(join(directory, 'model.tar.gz'))
  const server = createServer((_request, response) => {
    response.setHeader('etag', '"1"').end(packed)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  stack.defer(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { uri: `http://127.0.0.1:${port}/model.tar.gz`, bytes }
}
