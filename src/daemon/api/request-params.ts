import type { preValidationHookHandler } from 'fastify'
import { Type } from 'typebox'
import { type Project, parseProject } from '../../model/ids.ts'

/** Every call acts for one project. */
export const ProjectQuery = Type.Object({
  project_uuid: Type.Optional(Type.String({ description: 'default: default' })),
})

export function projectOf(request: { query: { project_uuid?: string } }): Project {
  return parseProject(request.query.project_uuid ?? 'default')
}

export const ReferenceParams = Type.Object({
  reference: Type.String({ description: 'id, or name: the newest of that name' }),
})

/** How long an answer is waited for, in seconds; the work goes on when the time is up. */
export const WaitQuery = Type.Object({
  project_uuid: Type.Optional(Type.String()),
  wait: Type.Optional(Type.Number({ minimum: 0, maximum: 3600 })),
})

/** For a route whose body may be left out or be `null`: nothing said means the defaults. */
export const defaultBody: preValidationHookHandler = (request, _reply, done) => {
  request.body ??= {}
  done()
}
