import { setTimeout as sleep } from 'node:timers/promises'
import { Type } from 'typebox'
import type { TreeEntry } from '../../agent-protocol/checkpoint.ts'
import {
  Checkpoint,
  CheckpointCreate,
  CheckpointDetails,
  CheckpointEvent,
  CheckpointRename,
} from '../../agent-protocol/checkpoint.ts'
import { readManifest } from '../../cache/read-manifest.ts'
import type { CheckpointRow } from '../../database/checkpoints.ts'
import { parseProject } from '../../model/ids.ts'
import type { ManifestEntry } from '../../model/manifest-entry.ts'
import { formatBytes } from '../../model/size-text.ts'
import type { Context } from '../context.ts'
import { noContent } from '../no-content.ts'
import { removeCheckpoint } from '../remove-checkpoint.ts'
import type { Api } from './api.ts'
import { checkpointResource } from './checkpoint-resource.ts'
import { sendEvents } from './event-stream.ts'
import { ndjson } from './openapi.ts'
import { ProjectQuery, projectOf, ReferenceParams } from './request-params.ts'

/** Entries of one page of a checkpoint's tree. */
const DEFAULT_TREE_LIMIT = 1000
const MAX_TREE_LIMIT = 10_000
/** How often progress is sent to a listener. */
const PROGRESS_INTERVAL_MS = 250

export function checkpointRoutes(api: Api, context: Context): void {
  const { checkpoints, transfers, store } = context
  const resource = (row: CheckpointRow): Checkpoint => checkpointResource(context, row)

  api.get(
    '/checkpoint',
    {
      schema: {
        summary: 'List the checkpoints of a project',
        querystring: ProjectQuery,
        response: { 200: Type.Array(Checkpoint) },
      },
    },
    (request) => checkpoints.list(projectOf(request)).map(resource),
  )

  api.get(
    '/checkpoint/public',
    {
      schema: {
        summary: 'List the public checkpoints',
        querystring: ProjectQuery,
        response: { 200: Type.Array(Checkpoint) },
      },
    },
    () => [],
  )

  api.post(
    '/checkpoint',
    {
      schema: {
        summary: 'Create a checkpoint and begin to fill it',
        querystring: ProjectQuery,
        body: CheckpointCreate,
        response: { 200: Checkpoint },
      },
    },
    async (request) => {
      const { body, query } = request
      const project = parseProject(body.project_uuid ?? query.project_uuid ?? 'default')
      const row = await transfers.create(project, {
        name: body.name,
        sourceType: body.source_type,
        sourceUri: body.source_uri,
        sourceOptions: body.source_options ?? {},
      })
      return { ...resource(row), status: 'new' as const }
    },
  )

  api.get(
    '/checkpoint/:reference',
    {
      schema: {
        summary: 'Show a checkpoint',
        params: ReferenceParams,
        querystring: ProjectQuery,
        response: { 200: Checkpoint },
      },
    },
    (request) => resource(checkpoints.get(projectOf(request), request.params.reference)),
  )

  api.patch(
    '/checkpoint/:reference',
    {
      schema: {
        summary: 'Rename a checkpoint',
        params: ReferenceParams,
        querystring: ProjectQuery,
        body: CheckpointRename,
        response: { 200: Checkpoint },
      },
    },
    async (request) => {
      const row = checkpoints.get(projectOf(request), request.params.reference)
      return resource(await checkpoints.rename(row.id, request.body.name))
    },
  )

  const RemoveQuery = Type.Object({
    project_uuid: Type.Optional(Type.String()),
    force: Type.Optional(Type.Boolean()),
  })
  api.delete(
    '/checkpoint/:reference',
    {
      schema: {
        summary: 'Remove a checkpoint that no unfinished job uses',
        params: ReferenceParams,
        querystring: RemoveQuery,
        response: { 200: Checkpoint },
      },
    },
    async (request) => {
      const row = checkpoints.get(projectOf(request), request.params.reference)
      const before = resource(row)
      await removeCheckpoint(context, row, request.query.force ?? false)
      return { ...before, status: 'archived' as const }
    },
  )

  const DetailsQuery = Type.Object({
    project_uuid: Type.Optional(Type.String()),
    offset: Type.Optional(Type.Integer({ minimum: 0 })),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_TREE_LIMIT })),
  })
  api.get(
    '/checkpoint/:reference/details',
    {
      schema: {
        summary: 'List the tree of a checkpoint, a page at a time',
        params: ReferenceParams,
        querystring: DetailsQuery,
        response: { 200: CheckpointDetails },
      },
    },
    async (request) => {
      const row = checkpoints.get(projectOf(request), request.params.reference)
      const manifest =
        row.manifest_id === null ? undefined : store.database.manifests.get(row.manifest_id)
      if (manifest === undefined) throw noContent(row)
      const { offset = 0, limit = DEFAULT_TREE_LIMIT } = request.query
      const contents: TreeEntry[] = []
      let index = 0
      for await (const entry of readManifest(
        store.layout.manifest(manifest.domain, manifest.digest),
      )) {
        if (index >= offset) contents.push(treeEntry(entry))
        index += 1
        if (contents.length === limit) break
      }
      return {
        type: 'directory' as const,
        name: '/' as const,
        count: String(manifest.entry_count),
        size: formatBytes(manifest.size_bytes),
        contents,
      }
    },
  )

  api.get(
    '/checkpoint/:reference/logs',
    {
      schema: {
        summary: 'Say where the events of a checkpoint are',
        params: ReferenceParams,
        querystring: ProjectQuery,
        response: { 200: Type.String({ description: 'an address of this daemon' }) },
      },
    },
    (request, reply) => {
      const row = checkpoints.get(projectOf(request), request.params.reference)
      const address = `/v1/checkpoints/${row.id}/events?project_uuid=${encodeURIComponent(row.project)}`
      void reply.type('application/json').send(JSON.stringify(address))
    },
  )

  api.get(
    '/v1/checkpoints/:reference/events',
    {
      schema: {
        summary: 'Follow the filling of a checkpoint',
        params: ReferenceParams,
        querystring: ProjectQuery,
        response: { 200: ndjson(CheckpointEvent) },
      },
    },
    (request, reply) => {
      const row = checkpoints.get(projectOf(request), request.params.reference)
      void sendEvents(context, reply, (signal) => followCheckpoint(context, row, signal))
    },
  )
}

/** Its log from the first line on, progress while it is filled, and in the end how it ended. */
async function* followCheckpoint(
  context: Context,
  { id, project }: CheckpointRow,
  signal: AbortSignal,
): AsyncGenerator<CheckpointEvent> {
  const { checkpoints, store } = context
  let seq = 0
  let sentProgress = ''
  for (;;) {
    // The state is read before the log: a line written in between is found, not lost.
    const row = checkpoints.get(project, id)
    for (
      let lines = store.database.log.listAfter(id, seq);
      lines.length > 0;
      lines = store.database.log.listAfter(id, seq)
    )
      for (const line of lines) {
        yield { type: 'log', time: line.time_ms, msg: line.msg }
        seq = line.seq
      }
    const resource = checkpointResource(context, row)
    if (row.status === 'ready') return yield { type: 'result', checkpoint: resource }
    if (row.status === 'failed' && resource.error !== undefined)
      return yield { type: 'error', error: { ...resource.error } }
    const progress = checkpoints.progress(id)
    const text = JSON.stringify(progress)
    if (progress !== undefined && text !== sentProgress) {
      yield { type: 'progress', progress }
      sentProgress = text
    }
    await sleep(progress === undefined ? 20 : PROGRESS_INTERVAL_MS, undefined, { signal })
  }
}

function treeEntry(entry: ManifestEntry): TreeEntry {
  if (entry.kind !== 'file') return entry
  const { path, kind, sizeBytes: size, sha256, executable } = entry
  return { path, kind, size, sha256, executable }
}
