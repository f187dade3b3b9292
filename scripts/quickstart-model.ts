import { createHash } from 'node:crypto'
import { createReadStream, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { pipeline } from 'node:stream'
import { create } from 'tar'

/** Bytes of one shard: large enough that several pieces are fetched at once. */
const SHARD_BYTES = 48 * 1024 * 1024
const SHARDS = 3

/** A model as a hub would hold it, and an adapter as an archive. */
export function writeModel(directory: string): void {
  const model = join(directory, 'model')
  mkdirSync(join(model, 'tokenizer'), { recursive: true })
  const weightMap: Record<string, string> = {}
  for (let n = 1; n <= SHARDS; n++) {
    const name = `model-0000${n}-of-0000${SHARDS}.safetensors`
    weightMap[`layers.${n}.weight`] = name
    writeFileSync(join(model, name), safetensors(`layers.${n}.weight`, n))
  }
  const json = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`
  writeFileSync(
    join(model, 'model.safetensors.index.json'),
    json({ metadata: { total_size: SHARD_BYTES * SHARDS }, weight_map: weightMap }),
  )
  writeFileSync(
    join(model, 'config.json'),
    json({ architectures: ['QuickstartForCausalLM'], hidden_size: 4096 }),
  )
  writeFileSync(
    join(model, 'tokenizer/tokenizer.json'),
    json({ version: '1.0', model: { type: 'BPE' } }),
  )
  writeFileSync(join(model, 'LICENSE'), 'Attaching this model means accepting its licence.\n')
  const adapter = join(directory, 'adapter-files')
  mkdirSync(adapter)
  writeFileSync(join(adapter, 'adapter_config.json'), json({ peft_type: 'LORA', r: 16 }))
  writeFileSync(
    join(adapter, 'adapter_model.safetensors'),
    safetensors('lora', 9).subarray(0, 4_000_000),
  )
  create({ cwd: adapter, file: join(directory, 'adapter.tar.gz'), gzip: true, sync: true }, ['.'])
  rmSync(adapter, { recursive: true })
}

/** A valid safetensors file: header length, header, and data that repeats only after 64 KiB. */
function safetensors(tensor: string, seed: number): Buffer {
  const dataBytes = SHARD_BYTES - 512
  const header = JSON.stringify({
    [tensor]: { dtype: 'F16', shape: [dataBytes / 2], data_offsets: [0, dataBytes] },
  }).padEnd(504)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(504n)
  const noise = Buffer.alloc(65_536, createHash('sha256').update(String(seed)).digest())
  return Buffer.concat([length, Buffer.from(header), Buffer.alloc(dataBytes, noise)])
}

/** A small web server with index pages, strong ETags and ranges. */
export async function serveModel(
  directory: string,
): Promise<{ address: string; close(): Promise<void> }> {
  mkdirSync(directory, { recursive: true })
  const server = createServer((request, response) => answer(directory, request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    address: `http://127.0.0.1:${port}`,
    close: () => {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}

function answer(directory: string, request: IncomingMessage, response: ServerResponse): void {
  const { pathname } = new URL(request.url ?? '/', 'http://localhost')
  const path = join(directory, decodeURIComponent(pathname))
  const stat = statSync(path, { throwIfNoEntry: false })
  if (stat === undefined) return void response.writeHead(404).end()
  if (stat.isDirectory()) {
    const links = readdirSync(path, { withFileTypes: true }).map((entry) => {
      const name = `${entry.name}${entry.isDirectory() ? '/' : ''}`
      return `<li><a href="${encodeURI(name)}">${name}</a></li>`
    })
    response.setHeader('content-type', 'text/html')
    return void response.end(
      `<html><head><title>Directory listing for ${pathname}</title></head><body><ul>${links.join('\n')}</ul></body></html>`,
    )
  }
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '')
  const start = Number(range?.[1] ?? 0)
  const end = Math.min(stat.size - 1, Number(range?.[2] || stat.size - 1))
  response.writeHead(range === null ? 200 : 206, {
    'content-length': end - start + 1,
    etag: `"${stat.mtimeMs}-${stat.size}"`,
    'accept-ranges': 'bytes',
    ...(range === null ? {} : { 'content-range': `bytes ${start}-${end}/${stat.size}` }),
  })
  pipeline(createReadStream(path, { start, end }), response, () => undefined)
}
